/** What buttons, keys and other extensions can run. */
import { PANEL_ID } from './id';
import type { Managers } from './ohif';
import type { SimilarCasesService } from './SimilarCasesService';

export function getCommandsModule(managers: Managers) {
  const service = () => similarCases(managers);
  const findSimilar = () => {
    managers.servicesManager.services.panelService.activatePanel(PANEL_ID, true);
    service().findSimilar();
  };
  const findSimilarToRegion = () => {
    managers.servicesManager.services.panelService.activatePanel(PANEL_ID, true);
    service().findSimilarToRegion();
  };
  return {
    definitions: {
      findSimilar: { commandFn: findSimilar },
      findSimilarToRegion: { commandFn: findSimilarToRegion },
      nextSimilarCase: { commandFn: () => service().step(1) },
      previousSimilarCase: { commandFn: () => service().step(-1) },
      closeSimilarComparison: { commandFn: () => service().closeComparison() },
    },
    defaultContext: 'DEFAULT',
  };
}

export function similarCases({ servicesManager }: Pick<Managers, 'servicesManager'>): SimilarCasesService {
  return (servicesManager.services as unknown as { similarCasesService: SimilarCasesService }).similarCasesService;
}
