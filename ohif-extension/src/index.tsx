/** "Find similar cases" for OHIF: https://docs.ohif.org/platform/extensions */
import { getCommandsModule } from './getCommandsModule';
import { getPanelModule } from './getPanelModule';
import { id } from './id';
import { onModeEnter, onModeExit } from './modeEntry';
import type { Managers } from './ohif';
import { SimilarCasesService } from './SimilarCasesService';

const extension = {
  id,
  preRegistration: ({ servicesManager }: Managers) => servicesManager.registerService(SimilarCasesService.REGISTRATION),
  getCommandsModule,
  getPanelModule,
  onModeEnter,
  onModeExit,
};

export default extension;
