/** What is set up when a study is opened and taken down when it is left. */
import { similarCases } from './getCommandsModule';
import { PANEL_ID } from './id';
import type { Managers, Subscription } from './ohif';
import { text } from './text';

const BUTTON = 'FindSimilar';

const HOTKEYS = [
  { commandName: 'findSimilar', label: text.hotkeyFind, keys: ['f'] },
  { commandName: 'nextSimilarCase', label: text.hotkeyNext, keys: ['.'] },
  { commandName: 'previousSimilarCase', label: text.hotkeyPrevious, keys: [','] },
];

let subscription: Subscription | null = null;

export function onModeEnter(managers: Managers): void {
  const { customizationService, panelService, toolbarService, viewportGridService } = managers.servicesManager.services;
  panelService.addPanel('right', PANEL_ID);
  toolbarService.register([
    {
      id: BUTTON,
      uiType: 'ohif.toolButton',
      props: {
        icon: 'icon-search',
        label: text.find,
        tooltip: text.buttonTooltip,
        commands: 'findSimilar',
        evaluate: 'evaluate.action',
      },
    },
  ]);
  // The mode fills its toolbar right after the extensions have been entered: a microtask puts our button last.
  queueMicrotask(() => toolbarService.updateSection('primary', [BUTTON]));
  customizationService.setCustomizations({ 'ohif.hotkeyBindings': { $push: HOTKEYS } });
  subscription?.unsubscribe();
  subscription = viewportGridService.subscribe(viewportGridService.EVENTS.LAYOUT_CHANGED, () =>
    similarCases(managers).layoutChanged(),
  );
}

export function onModeExit(managers: Managers): void {
  subscription?.unsubscribe();
  subscription = null;
  similarCases(managers).leave();
}
