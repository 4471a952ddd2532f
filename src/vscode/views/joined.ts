import { l10n } from 'vscode';
import type { JoinedEndpoint } from '../../connector/joined.ts';
import { inWords } from '../words.ts';
import type { Row } from './rows.ts';

/** The rows of the Joined view: a row an endpoint of somebody else, by where it is found on this computer. */
export function joinedRows(joined: readonly JoinedEndpoint[]): readonly Row[] {
  return joined.map(({ id, user, addresses, url, link }) => {
    const [address = ''] = addresses;
    const there = l10n.t('{0} at {1}', user, new URL(address).host);
    const problem = link.status === 'broken' ? inWords(link.message) : undefined;
    return {
      id,
      label: url ?? l10n.t('Opening'),
      description: problem ?? there,
      tooltip: [
        there,
        ...(url === undefined ? [] : [l10n.t('Programs on this computer find it at {0}', url)]),
        ...(problem === undefined ? [] : [problem]),
      ],
      icon: problem === undefined ? 'plug' : 'warning',
      ...(problem !== undefined && { color: 'list.warningForeground' }),
      context: url === undefined ? 'joined.opening' : 'joined',
      target: id,
    };
  });
}
