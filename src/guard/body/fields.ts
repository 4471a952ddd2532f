import type { Kind } from './facts.ts';

/**
 * What the guard knows of a place in a body. Where members are known, no key may be there twice, nor differ from a known
 * one in letter case alone: Go binds both (SEC-31, SEC-32). Elsewhere keys are free, as in the schema of a tool.
 */
export interface Field {
  /** What may stand here, because a decision relies on it; anything unless given. */
  readonly kinds?: readonly Kind[];
  /** Its value is a fact, by its path. */
  readonly reported?: true;
  /** A text here is sent as an image, and so is a list of bytes: Go reads an image from either. */
  readonly image?: true;
  /** Null is one as well: Go makes an empty image of each in a list. */
  readonly nullIsImage?: true;
  /** An object here is sent as an image, whatever it has: Go makes an empty one of it. */
  readonly holdsImage?: true;
  /** The text is that of the image around it. */
  readonly ofImage?: true;
  /** An object or null here is a tool. */
  readonly tool?: true;
  /** The text is the type of a tool. */
  readonly toolType?: true;
  /** Of an object, by keys in lower case. */
  readonly members?: ReadonlyMap<string, Field>;
  /** Of an object: every member that is not among `members`. */
  readonly others?: Field;
  /** Of an array. */
  readonly items?: Field;
}

type Members = Readonly<Record<string, Field>>;

const members = (fields: Members): ReadonlyMap<string, Field> => new Map(Object.entries(fields));
const each = (keys: string, field: Field): Members => Object.fromEntries(keys.split(' ').map((key) => [key, field]));

/** Known by its key alone. */
const any: Field = {};
const reported: Field = { reported: true };
const image: Field = { image: true };
const listedImage: Field = { image: true, nullIsImage: true };
const text: Field = { reported: true, kinds: ['string', 'null'] };
const flag: Field = { kinds: ['boolean', 'null'] };
const number: Field = { reported: true, kinds: ['number', 'null'] };
const duration: Field = { reported: true, kinds: ['string', 'number', 'null'] };

/**
 * Of Ollama's `Options` and `Runner` (api/types.go at fb30760), and those of earlier versions. Other members are
 * reported as well.
 */
const options: Field = {
  reported: true,
  kinds: ['object', 'null'],
  members: members({
    ...each('num_ctx num_predict', number),
    ...each('num_batch num_gpu main_gpu use_mmap num_thread draft_num_predict', reported),
    ...each('num_keep seed top_k top_p min_p typical_p repeat_last_n temperature stop', reported),
    ...each('repeat_penalty presence_penalty frequency_penalty', reported),
    ...each('low_vram use_mlock numa f16_kv logits_all vocab_only num_gqa embedding_only', reported),
    ...each('rope_frequency_base rope_frequency_scale tfs_z', reported),
    ...each('mirostat mirostat_tau mirostat_eta penalize_newline', reported),
  }),
  others: reported,
};

/** OpenAI's is an object, the one of its Responses a text. */
const imageUrl: Field = { image: true, members: members({ url: image }) };

const part = (more: Members = {}): Field => ({
  members: members({
    ...each('type text', any),
    image_url: imageUrl,
    // Ollama gives the model audio as an image.
    input_audio: { members: members({ data: image, format: any }) },
    source: { holdsImage: true, members: members({ ...each('type media_type url', any), data: { ofImage: true } }) },
    ...more,
  }),
});

/** What a message says: a text, or parts of which one may be the result of a tool, with parts of its own. */
const content: Field = { items: part({ content: { items: part() } }) };

const message: Field = {
  members: members({
    ...each('type role thinking tool_calls tool_name tool_call_id', any),
    content,
    images: { items: listedImage },
  }),
};

/** An item of the Responses' input: a message, or what a tool gave back. */
const inputItem: Field = {
  members: members({ ...each('type role call_id', any), content: { items: part() }, output: { items: part() } }),
};

const toolType: Field = { toolType: true, kinds: ['string', 'null'] };

/** A tool of the Responses may be a name for several. */
const tool: Field = {
  tool: true,
  members: members({
    ...each('name function', any),
    type: toolType,
    tools: {
      get items() {
        return tool;
      },
    },
  }),
};

/** The outermost object, in every dialect. */
export const outermost: Field = {
  reported: true,
  kinds: ['object'],
  members: members({
    ...each('model name source destination from remote_host', text),
    insecure: { ...flag, reported: true },
    stream: flag,
    ...each('max_tokens max_completion_tokens max_output_tokens', number),
    ...each('prompt template format response_format text modelfile path web_search_options', reported),
    ...each('system stream_options files adapters', any),
    keep_alive: duration,
    options,
    // Of a model that is made: the options of every request that names no others.
    parameters: options,
    messages: { reported: true, items: message },
    input: { items: inputItem },
    images: { items: listedImage },
    tools: { items: tool },
  }),
};
