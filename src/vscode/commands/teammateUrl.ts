import { endpointUrl } from '../../guard/config.ts';
import { shareUrl } from '../../guard/share/address.ts';
import type { Endpoint } from '../../guard/state.ts';
import { readGuardConfig } from '../settings.ts';

/**
 * The address to hand to a teammate: where the endpoint is shared, else where it listens, else where it will.
 *
 * @throws GuardError `config-invalid`.
 */
export function teammateUrl(endpoint: Endpoint | undefined): string {
  if (endpoint !== undefined) return endpoint.sharing?.url ?? shareUrl(endpoint.url);
  const { host, port } = readGuardConfig();
  return shareUrl(endpointUrl(host, port));
}
