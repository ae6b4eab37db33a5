/** First lines of the cases' reports, asked for one after the other: a slow one holds up neither cards nor pictures. */
import type { CaseAnswer } from './answer';
import type { CbmirClient } from './cbmirClient';
import { isOver } from './isOver';
import type { State } from './state';
import type { Store } from './store';

export async function readReports(
  cases: CaseAnswer[],
  store: Store<State>,
  client: CbmirClient,
  signal: AbortSignal,
): Promise<void> {
  for (const { reportUrl } of cases) {
    if (!reportUrl || store.get().reports[reportUrl]) continue;
    try {
      const lines = await client.report(reportUrl, signal);
      if (isOver(signal)) return;
      store.set({ reports: { ...store.get().reports, [reportUrl]: lines } });
    } catch {
      // The case is no less similar without it; the next search asks again.
      if (isOver(signal)) return;
    }
  }
}
