import { isLoopback } from '../config.ts';
import { curlCommand, curlTrust } from './curl.ts';
import { jsonLiteral, oneLine, pemLines, powershellLiteral, pythonLiteral, shellJson } from './quote.ts';
import { type ShellId, shells } from './shell.ts';
import type { Trust } from './trust.ts';

/** What a snippet is made of. */
export interface ClientContext {
  /** The endpoint, such as `http://192.168.1.5:11435`. */
  readonly url: string;
  /** Whose key it is: the self-test signs in by this name. */
  readonly user: string;
  /** The API key that was just made; it appears once in the snippet of a client that takes one. */
  readonly apiKey: string;
  /** A model that this user may use. */
  readonly model: string;
  /** What it takes to know the endpoint; left out when nothing is encrypted, or every system knows it. */
  readonly trust?: Trust;
  /** What commands are written for; the self-test's when the client itself has none. */
  readonly shell: ShellId;
}

/** A program that teammates use, and what to hand them for it. */
export interface Client {
  readonly id: string;
  /** The name a person knows it by. */
  readonly name: string;
  /** What a key made for it is called in the list of keys; left out when it signs in by no API key. */
  readonly keyLabel?: string;
  /** Whether the snippet is pasted into a shell, so that it matters which. */
  readonly usesShell: boolean;
  /**
   * The snippet, ready to paste: nothing to fill in, one curl command to test with where there is an API key, no line
   * break at the end.
   */
  readonly render: (context: ClientContext) => string;
  /** One sentence on what to watch out for. */
  readonly note?: string;
}

const lines = (...all: readonly string[]) => all.join('\n');

/** How to try the key without a client. curl asks for it, so that it stands neither here nor in a shell's history. */
function selfTest({ url, user, shell, trust }: ClientContext): string {
  return oneLine(`Test, with the API key as the password: ${curlCommand(url, { user }, shell, trust)}`);
}

const chatRequest = ({ model }: ClientContext) =>
  shellJson({ model, messages: [{ role: 'user', content: 'Hello' }], stream: false });

const chatHeaders = ({ apiKey }: ClientContext) => [
  ...['-H', `Authorization: Bearer ${apiKey}`],
  ...['-H', 'Content-Type: application/json'],
];

function curlChat(context: ClientContext): string {
  const { curl, quote, comment } = shells[context.shell];
  const args = [...curlTrust(context.trust), ...chatHeaders(context), '-d', chatRequest(context)];
  return lines(`${comment} ${selfTest(context)}`, [curl, ...[...args, `${context.url}/api/chat`].map(quote)].join(' '));
}

/**
 * Not curl.exe where it can be helped: its answer is not taken apart, and Windows PowerShell takes the double quotes out
 * of what it passes to a program, though not out of what it pipes. Only curl.exe can tell an endpoint by its key.
 */
function powershellChat(context: ClientContext): string {
  const { curl, quote } = shells.powershell;
  const q = powershellLiteral;
  const [body, url] = [q(chatRequest(context)), `${context.url}/api/chat`];
  const piped = [...curlTrust(context.trust), ...chatHeaders(context), '-d', '@-', url].map(quote);
  return lines(
    `# ${selfTest({ ...context, shell: 'powershell' })}`,
    context.trust === undefined
      ? `(Invoke-RestMethod ${q(url)} -Method Post -ContentType 'application/json' ` +
          `-Headers @{ Authorization = ${q(`Bearer ${context.apiKey}`)} } -Body ${body}).message.content`
      : [body, '|', curl, ...piped].join(' '),
  );
}

/** Where shells keep the certificate of the endpoint's authority, in the home folder. */
const caFile = 'ollama-guard-ca.pem';

/** Programs on Node trust this certificate beside those they know. */
function environmentTrust({ shell, trust }: ClientContext): readonly string[] {
  if (trust === undefined) return [];
  const { writeHomeFile, assignHomeFile } = shells[shell];
  return [writeHomeFile(caFile, pemLines(trust.pem)), assignHomeFile('NODE_EXTRA_CA_CERTS', caFile)];
}

/** For Python; for the person to decide, since whatever reads it knows no other certificate from then on. */
function pythonEnvironmentTrust({ shell, trust }: ClientContext): readonly string[] {
  if (trust === undefined) return [];
  const { assignHomeFile, comment } = shells[shell];
  return [
    `${comment} For Python, also this, after which much else trusts no other certificate:`,
    `${comment} ${assignHomeFile('SSL_CERT_FILE', caFile)}`,
  ];
}

function environment(context: ClientContext, variables: Readonly<Record<string, string>>): string[] {
  const { assign, comment } = shells[context.shell];
  return [
    `${comment} ${selfTest(context)}`,
    ...environmentTrust(context),
    // A terminal takes what is pasted for keys: one that wipes the line would take the quotes away with it.
    ...Object.entries(variables).map(([variable, value]) => assign(variable, oneLine(value))),
  ];
}

/**
 * The ollama command signs its requests, which the guard takes over TLS or on its own computer alone (SEC-61). Go reads
 * `SSL_CERT_FILE` on Linux, and asks the system elsewhere.
 */
function ollamaCommand(context: ClientContext): string {
  const { url, shell, trust } = context;
  const { assign, assignHomeFile, comment, writeHomeFile } = shells[shell];
  const remark = (text: string) => `${comment} ${oneLine(text)}`;
  const host = URL.parse(url)?.hostname.replace(/^\[|\]$/g, '') ?? '';
  if (!url.startsWith('https:') && !isLoopback(host)) {
    return lines(
      remark(`The ollama command signs in over https alone, and ${url} is not encrypted. Ask its owner to encrypt it,`),
      remark('or for an invite: Join a Shared Ollama gives the command an address on this computer.'),
    );
  }
  return lines(
    remark('Once: send ~/.ollama/id_ed25519.pub to the owner of this endpoint. Ollama makes it when it first starts.'),
    ...(trust === undefined
      ? []
      : [
          writeHomeFile(caFile, pemLines(trust.pem)),
          remark(`On Linux. On macOS and Windows, import ${caFile} into what the system trusts, or ask for an invite.`),
          assignHomeFile('SSL_CERT_FILE', caFile),
        ]),
    assign('OLLAMA_HOST', oneLine(url)),
    assign('OLLAMA_AUTH', '1'),
    'ollama list',
  );
}

/** Python that makes `tls`, which trusts the endpoint's authority and nothing else. */
function pythonTrust({ trust }: ClientContext): readonly string[] {
  if (trust === undefined) return [];
  return ['tls = ssl.create_default_context(cadata="""', ...pemLines(trust.pem), '""")'];
}

/** JavaScript that makes this one program trust the endpoint's authority, beside those it knows. */
function javascriptTrust({ trust }: ClientContext): readonly string[] {
  if (trust === undefined) return [];
  return [
    `// Node before 22.19 or 24.5: save this certificate as ${caFile}, and run NODE_EXTRA_CA_CERTS=${caFile} node …`,
    'const ca = `',
    ...pemLines(trust.pem),
    '`;',
    "tls.setDefaultCACertificates?.([...tls.getCACertificates('default'), ca]);",
  ];
}

/** Continue takes a certificate in place of the path to one, as a `data:` URI. */
function continueTrust({ trust }: ClientContext): readonly string[] {
  if (trust === undefined) return [];
  const pem = btoa(lines(...pemLines(trust.pem), ''));
  return ['    requestOptions:', `      caBundlePath: "data:application/x-pem-file;base64,${pem}"`];
}

/** For programs that have no field for it. Whoever joins has an address for them that needs no certificate. */
function trustByHand({ trust }: ClientContext): readonly string[] {
  if (trust === undefined) return [];
  return [
    'The system has to trust the certificate below: import it, or ask for an invite and use Join a Shared Ollama instead.',
    oneLine(`SHA-256: ${trust.sha256}`),
    ...pemLines(trust.pem),
  ];
}

const python = (context: ClientContext, importing: string, ...code: readonly string[]) =>
  lines(
    `# ${selfTest(context)}`,
    ...(context.trust === undefined ? [] : ['import ssl', '']),
    importing,
    '',
    ...pythonTrust(context),
    ...code,
  );

const javascript = (context: ClientContext, importing: string, ...code: readonly string[]) =>
  lines(
    `// ${selfTest(context)}`,
    ...(context.trust === undefined ? [] : ["import tls from 'node:tls';"]),
    importing,
    '',
    ...javascriptTrust(context),
    ...code,
  );

/** What to fill in: each field of a form with its value. */
const fields = (values: Readonly<Record<string, string>>) =>
  Object.entries(values).map(([field, value]) => `${field}: ${oneLine(value)}`);

/** The clients on offer, in the order of the pick list. What each of them can send is in docs/clients.md. */
export const clients: readonly Client[] = [
  {
    id: 'curl',
    name: 'curl',
    keyLabel: 'curl',
    usesShell: true,
    render: (context) => (context.shell === 'powershell' ? powershellChat(context) : curlChat(context)),
    note: 'The key stays in the history of the shell.',
  },
  {
    id: 'powershell',
    name: 'PowerShell',
    keyLabel: 'PowerShell',
    usesShell: false,
    render: powershellChat,
    note: 'The key stays in the history of PowerShell.',
  },
  {
    id: 'ollama',
    name: 'ollama',
    usesShell: true,
    render: ollamaCommand,
    note: 'It signs in by your ~/.ollama/id_ed25519.pub; a password in OLLAMA_HOST is printed, and OLLAMA_API_KEY not read.',
  },
  {
    id: 'ollama-python',
    name: 'Python (ollama)',
    keyLabel: 'Python ollama',
    usesShell: false,
    render: (context) => {
      const [url, header, model] = [context.url, `Bearer ${context.apiKey}`, context.model].map(pythonLiteral);
      return python(
        context,
        'from ollama import Client',
        `client = Client(host=${url}, headers={"Authorization": ${header}}${context.trust ? ', verify=tls' : ''})`,
        `answer = client.chat(model=${model}, messages=[{"role": "user", "content": "Hello"}])`,
        'print(answer.message.content)',
      );
    },
    note: 'A name and password inside the address are dropped without a word: only the header signs in.',
  },
  {
    id: 'ollama-js',
    name: 'JavaScript (ollama)',
    keyLabel: 'JavaScript ollama',
    usesShell: false,
    render: (context) => {
      const [url, header, model] = [context.url, `Bearer ${context.apiKey}`, context.model].map(jsonLiteral);
      return javascript(
        context,
        "import { Ollama } from 'ollama';",
        `const ollama = new Ollama({ host: ${url}, headers: { Authorization: ${header} } });`,
        `const answer = await ollama.chat({ model: ${model}, messages: [{ role: 'user', content: 'Hello' }] });`,
        'console.log(answer.message.content);',
      );
    },
    note: 'OLLAMA_API_KEY has no effect here: this library sends it to ollama.com alone.',
  },
  {
    id: 'openai-python',
    name: 'Python (OpenAI SDK)',
    keyLabel: 'Python OpenAI',
    usesShell: false,
    render: (context) => {
      const [url, key, model] = [`${context.url}/v1`, context.apiKey, context.model].map(pythonLiteral);
      return python(
        context,
        context.trust ? 'from openai import DefaultHttpxClient, OpenAI' : 'from openai import OpenAI',
        `client = OpenAI(base_url=${url}, api_key=${key}${context.trust ? ', http_client=DefaultHttpxClient(verify=tls)' : ''})`,
        `answer = client.chat.completions.create(model=${model}, messages=[{"role": "user", "content": "Hello"}])`,
        'print(answer.choices[0].message.content)',
      );
    },
    note: 'A stream tells its token counts only with stream_options={"include_usage": True}.',
  },
  {
    id: 'openai-js',
    name: 'JavaScript (OpenAI SDK)',
    keyLabel: 'JavaScript OpenAI',
    usesShell: false,
    render: (context) => {
      const [url, key, model] = [`${context.url}/v1`, context.apiKey, context.model].map(jsonLiteral);
      return javascript(
        context,
        "import OpenAI from 'openai';",
        `const client = new OpenAI({ baseURL: ${url}, apiKey: ${key} });`,
        'const answer = await client.chat.completions.create({',
        `  model: ${model},`,
        "  messages: [{ role: 'user', content: 'Hello' }],",
        '});',
        'console.log(answer.choices[0].message.content);',
      );
    },
    note: 'A stream tells its token counts only with stream_options: { include_usage: true }.',
  },
  {
    id: 'langchain',
    name: 'LangChain',
    keyLabel: 'LangChain',
    usesShell: false,
    render: (context) => {
      const [url, header, model] = [context.url, `Bearer ${context.apiKey}`, context.model].map(pythonLiteral);
      return python(
        context,
        'from langchain_ollama import ChatOllama',
        'chat = ChatOllama(',
        `    model=${model},`,
        `    base_url=${url},`,
        `    client_kwargs={"headers": {"Authorization": ${header}}${context.trust ? ', "verify": tls' : ''}},`,
        ')',
        'print(chat.invoke("Hello").content)',
      );
    },
    note: 'Give OllamaEmbeddings the same client_kwargs; it does not take them from the chat model.',
  },
  {
    id: 'continue',
    name: 'Continue',
    keyLabel: 'Continue',
    usesShell: false,
    render: (context) => {
      const [url, key, model] = [context.url, context.apiKey, context.model].map(pythonLiteral);
      return lines(
        `# ${selfTest(context)}`,
        'name: Ollama Guard',
        'version: 0.0.1',
        'schema: v1',
        'models:',
        `  - name: ${model}`,
        '    provider: ollama',
        `    apiBase: ${url}`,
        `    apiKey: ${key}`,
        `    model: ${model}`,
        '    roles: [chat, edit, apply]',
        ...continueTrust(context),
      );
    },
    note: 'The whole text is a config.yaml; into one of your own, put the entry below models alone.',
  },
  {
    id: 'cline',
    name: 'Cline',
    keyLabel: 'Cline',
    usesShell: false,
    render: (context) =>
      lines(
        'Cline, settings, API Configuration',
        ...fields({
          'API Provider': 'Ollama',
          'Use custom base URL': context.url,
          'Ollama API Key': context.apiKey,
          Model: context.model,
        }),
        ...trustByHand(context),
        selfTest(context),
      ),
    note: 'The list of models stays empty because Cline asks for it without the key: type the model.',
  },
  {
    id: 'copilot',
    name: 'Copilot "OpenAI Compatible"',
    keyLabel: 'Copilot',
    usesShell: false,
    render: (context) => {
      const [id, url] = [context.model, `${context.url}/v1/chat/completions`].map(jsonLiteral);
      return lines(
        'Chat: Manage Language Models, Add Models, Custom Endpoint',
        ...fields({ 'Group name': 'Ollama Guard', 'API key': context.apiKey, 'API type': 'Chat Completions' }),
        'Then, as "models" in the chatLanguageModels.json that opens:',
        '[',
        '  {',
        `    "id": ${id},`,
        `    "name": ${id},`,
        `    "url": ${url},`,
        '    "toolCalling": true,',
        '    "vision": false,',
        '    "maxInputTokens": 28672,',
        '    "maxOutputTokens": 4096',
        '  }',
        ']',
        ...trustByHand(context),
        selfTest(context),
      );
    },
    note: 'Before VS Code 1.122 it is called OpenAI Compatible; the built-in Ollama provider cannot send a key.',
  },
  {
    id: 'claude-code',
    name: 'Claude Code',
    keyLabel: 'Claude Code',
    usesShell: true,
    render: (context) =>
      lines(
        ...environment(context, {
          ANTHROPIC_BASE_URL: context.url,
          ANTHROPIC_AUTH_TOKEN: context.apiKey,
          // A real key of the teammate's would go to this endpoint.
          ANTHROPIC_API_KEY: '',
          // Claude's own names, which Claude Code asks for by itself, are not installed.
          ANTHROPIC_MODEL: context.model,
          ANTHROPIC_DEFAULT_OPUS_MODEL: context.model,
          ANTHROPIC_DEFAULT_SONNET_MODEL: context.model,
          ANTHROPIC_DEFAULT_HAIKU_MODEL: context.model,
        }),
        'claude',
      ),
    note: 'Start claude itself: `ollama launch claude` sends a key of its own that is not accepted.',
  },
  {
    id: 'open-webui',
    name: 'Open WebUI',
    keyLabel: 'Open WebUI',
    usesShell: false,
    render: (context) =>
      lines(
        'Open WebUI, Admin Panel, Settings, Connections, Manage Ollama API Connections, +',
        ...fields({ URL: context.url, Key: context.apiKey }),
        ...trustByHand(context),
        selfTest(context),
      ),
    note: 'Everyone on that Open WebUI uses this one key and is seen as one person.',
  },
  {
    id: 'environment',
    name: 'Environment variables',
    keyLabel: 'environment',
    usesShell: true,
    render: (context) =>
      lines(
        ...environment(context, {
          OLLAMA_HOST: context.url,
          OLLAMA_API_KEY: context.apiKey,
          OPENAI_BASE_URL: `${context.url}/v1`,
        }),
        shells[context.shell].assignFrom('OPENAI_API_KEY', 'OLLAMA_API_KEY'),
        ...pythonEnvironmentTrust(context),
      ),
    note: 'The ollama command does not read OLLAMA_API_KEY, and Python sends it to any host that OLLAMA_HOST names.',
  },
];
