import { similarCases } from './getCommandsModule';
import { ICON, PANEL } from './id';
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
  return [{ name: PANEL, iconName: ICON, iconLabel: text.panelTab, label: text.panelTitle, component }];
}
