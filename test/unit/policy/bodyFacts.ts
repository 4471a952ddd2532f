import type { BodyFacts, Kind, Value } from '../../../src/guard/body/facts.ts';

const kindOf = (value: unknown): Kind => {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'array' : (typeof value as Kind);
};

/** What the guard knows of a body with these fields, without where they stand in it. */
export function factsOf(fields: Readonly<Record<string, unknown>>, toolTypes: readonly string[] = []): BodyFacts {
  const values = Object.entries(fields).map(([key, value]): [string, Value] => {
    const nested = typeof value === 'object' && value !== null;
    return [key, { kind: kindOf(value), value: nested ? undefined : (value as Value['value']), start: 0, end: 0 }];
  });
  return { values: new Map(values), images: { count: 0, bytes: 0 }, toolTypes, textBytes: 0 };
}
