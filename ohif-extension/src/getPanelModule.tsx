import { similarCases } from './getCommandsModule';
import { PANEL } from './id';
import { island } from './island';
import type { Managers, Panel } from './ohif';
import { SimilarCasesPanel } from './SimilarCasesPanel';
import { insertStyles } from './styles';
import { text } from './text';
import { ServiceContext } from './useSimilarCases';

export function getPanelModule(managers: Managers): Panel[] {
  const component = island(() => {
    insertStyles();
    return (
      <ServiceContext.Provider value={similarCases(managers)}>
        <SimilarCasesPanel />
      </ServiceContext.Provider>
    );
  });
  // One of OHIF's own icons: extensions cannot add any.
  return [{ name: PANEL, iconName: 'icon-search', iconLabel: text.panelTab, label: text.panelTitle, component }];
}
