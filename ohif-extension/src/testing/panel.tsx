/** The panel over the doubles of viewer and client, for tests that press its buttons. */
import { act, render } from '@testing-library/preact';
import userEvent from '@testing-library/user-event';

import type { SimilarAnswer } from '../answer';
import { SimilarCasesPanel } from '../SimilarCasesPanel';
import { SimilarCasesService } from '../SimilarCasesService';
import { ServiceContext } from '../useSimilarCases';
import { answerWith } from './answers';
import { ClientDouble, settle } from './clientDouble';
import { series, ViewerDouble } from './viewerDouble';

export class PanelDouble {
  readonly viewer = new ViewerDouble(...series('1.2.3.1', 10));
  readonly client = new ClientDouble();
  readonly service = new SimilarCasesService(this.viewer.managers, this.client);
  readonly user = userEvent.setup();
  readonly rendered = render(
    <ServiceContext.Provider value={this.service}>
      <SimilarCasesPanel />
    </ServiceContext.Provider>,
  );

  /** Lets the newest search have its answer; its studies can be opened. */
  async answer(found: SimilarAnswer = answerWith({}, {})): Promise<void> {
    for (const one of found.cases) this.viewer.loadable.set(one.StudyInstanceUID, series(one.SeriesInstanceUID, 10));
    await this.settle(() => this.client.last().answer(found));
  }

  /** Does something from outside of the panel, and lets the panel follow. */
  async settle(action: () => unknown = () => undefined): Promise<void> {
    await act(async () => {
      await action();
      await settle();
    });
  }
}
