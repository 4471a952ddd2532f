import type { Vault } from '../../guard/tls/vault.ts';
import type { GuardService } from '../guardService.ts';
import type { WalkthroughStep } from '../ids.ts';
import type { Log } from '../log.ts';
import type { UpstreamWatch } from '../upstreamWatch.ts';

/** What commands work with. */
export interface CommandContext {
  readonly guard: GuardService;
  readonly upstream: UpstreamWatch;
  readonly log: Log;
  /** Where private keys are kept. */
  readonly vault: Vault;
  /** Makes way for a new certificate authority. */
  forgetAuthority(): Promise<void>;
  /** This extension, as links into VS Code name it. */
  readonly extensionId: string;
  /** Takes note that a step of the walkthrough was done. */
  done(step: WalkthroughStep): void;
  /** Opens a page of the documentation that comes with the extension, at a heading. */
  openDocs(page: 'check' | 'clients', heading?: string): Promise<void>;
  openSettings(name?: string): Promise<void>;
  /** Opens the user settings as text, at the policy. */
  openPolicy(): Promise<void>;
  openWalkthrough(): Promise<void>;
}
