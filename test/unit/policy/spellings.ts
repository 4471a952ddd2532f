import fc from 'fast-check';

/** A model by its parts, as a spelling is made of them. */
export interface Parts {
  readonly host: string;
  readonly namespace: string;
  readonly model: string;
  readonly tag: string;
}

const word = fc.stringMatching(/^[a-z0-9_][a-z0-9_-]{0,6}$/);
const dotted = fc.stringMatching(/^[a-z0-9_][a-z0-9_.-]{0,6}$/);

/** Models of any registry; `cloud` and `local` as a tag are sources and no tags. */
export const parts: fc.Arbitrary<Parts> = fc.record(
  {
    host: fc.oneof(fc.constant('registry.ollama.ai'), fc.constantFrom('hf.co', 'localhost:5000', '10.0.0.7:8443')),
    namespace: fc.oneof(fc.constant('library'), word),
    model: fc.oneof(fc.constantFrom('llama3.2', 'qwen2.5-coder', 'secret'), dotted),
    tag: fc.oneof(
      fc.constantFrom('latest', '7b'),
      dotted.filter((tag) => !/^(cloud|local)$|-cloud$/.test(tag)),
    ),
  },
  { noNullPrototype: true },
);

/** Every way to write a model that the guard takes: parts left out, letter case, a scheme, space around it, `:local`. */
export function spellingOf({ host, namespace, model, tag }: Parts): fc.Arbitrary<string> {
  const isHome = host === 'registry.ollama.ai';
  const paths = [`${host}/${namespace}/${model}`, `https://${host}/${namespace}/${model}`];
  paths.push(`http://${host}/${namespace}/${model}`);
  if (isHome) paths.push(`${namespace}/${model}`);
  if (isHome && namespace === 'library') paths.push(model, model);
  const tags = tag === 'latest' ? [':latest', ''] : [`:${tag}`];
  return fc
    .tuple(
      fc.constantFrom(...paths),
      fc.constantFrom(...tags),
      fc.constantFrom('', '', ':local'),
      fc.constantFrom('', ' ', '\n', '\t ', '\r\n'),
      fc.infiniteStream(fc.boolean()),
    )
    .map(([path, suffix, source, space, upper]) => {
      const cased = [...`${path}${suffix}${source}`].map((c) => (upper.next().value ? c.toUpperCase() : c));
      return `${space}${cased.join('')}${space}`;
    });
}
