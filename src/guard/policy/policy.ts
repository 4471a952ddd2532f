import type { RefusalCode } from '../answers.ts';
import { type Capability, type Route, routesOf } from '../routes.ts';

/** What each role may do. */
export const roles = {
  viewer: ['read'],
  member: ['read', 'infer'],
  admin: ['read', 'infer', 'manage'],
} as const satisfies Record<string, readonly Capability[]>;

/** The name of a role. */
export type Role = keyof typeof roles;

/** Every role's name, least first. */
export const roleNames = Object.keys(roles) as readonly Role[];

/** What the policy says: the route that may be called, or why none may. */
export type Decision = { readonly route: Route } | { readonly refusal: RefusalCode; readonly allow?: string };

/**
 * May this role call this method on this canonical path? Default deny: only a row of the route table that the role's
 * capabilities cover is a yes (SEC-18).
 */
export function decide(role: Role, method: string, path: string): Decision {
  const candidates = routesOf(path);
  if (candidates.length === 0) return { refusal: 'not-found' };
  const route = candidates.find((candidate) => candidate.method === method);
  if (route === undefined) {
    return { refusal: 'method-not-allowed', allow: candidates.map((candidate) => candidate.method).join(', ') };
  }
  if (route.needs === 'denied') return { refusal: 'owner-only' };
  const capabilities: readonly Capability[] = roles[role];
  return capabilities.includes(route.needs) ? { route } : { refusal: 'not-permitted' };
}
