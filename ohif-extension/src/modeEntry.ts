/** What is set up when a study is opened and taken down when it is left. */
import { similarCases } from './getCommandsModule';
import { ICON, PANEL_ID } from './id';
import type { Managers, Subscription } from './ohif';
import { text } from './text';

const BUTTON = 'FindSimilar';
const REGION_BUTTON = 'SimilarToRegion';

const HOTKEYS = [
  { commandName: 'findSimilar', label: text.hotkeyFind, keys: ['f'] },
  { commandName: 'findSimilarToRegion', label: text.region, keys: ['shift+f'] },
  { commandName: 'nextSimilarCase', label: text.hotkeyNext, keys: ['.'] },
  { commandName: 'previousSimilarCase', label: text.hotkeyPrevious, keys: [','] },
];

/** Links from outside end with this to have the slice they name searched for at once. */
const SEARCH_AT_ONCE = '#find-similar';

const subscriptions: Subscription[] = [];

export function onModeEnter(managers: Managers): void {
  const { customizationService, panelService, toolbarService, viewportGridService } = managers.servicesManager.services;
  panelService.addPanel('right', PANEL_ID);
  toolbarService.register([
    {
      id: BUTTON,
      uiType: 'ohif.toolButton',
      props: {
        icon: ICON,
        label: text.find,
        tooltip: text.buttonTooltip,
        commands: 'findSimilar',
        evaluate: 'evaluate.action',
      },
    },
    {
      id: REGION_BUTTON,
      uiType: 'ohif.toolButton',
      props: {
        icon: 'tool-rectangle',
        label: text.region,
        tooltip: text.regionTitle,
        commands: 'findSimilarToRegion',
        evaluate: 'evaluate.action',
      },
    },
  ]);
  // The mode fills its toolbar right after the extensions have been entered: a microtask puts our buttons last.
  queueMicrotask(() => toolbarService.updateSection('primary', [BUTTON, REGION_BUTTON]));
  customizationService.setCustomizations({ 'ohif.hotkeyBindings': { $push: HOTKEYS } });
  unsubscribe();
  subscriptions.push(
    viewportGridService.subscribe(viewportGridService.EVENTS.LAYOUT_CHANGED, () =>
      similarCases(managers).layoutChanged(),
    ),
  );
  if (window.location.hash === SEARCH_AT_ONCE) searchWhenShown(managers);
}

/** The slice is jumped to right after the first viewport has been given its series. */
function searchWhenShown({ commandsManager, servicesManager }: Managers): void {
  const { cornerstoneViewportService } = servicesManager.services;
  const { VIEWPORT_DATA_CHANGED } = cornerstoneViewportService.EVENTS;
  const subscription = cornerstoneViewportService.subscribe(VIEWPORT_DATA_CHANGED, () => {
    subscription.unsubscribe();
    setTimeout(() => commandsManager.run('findSimilar'), 0);
  });
  subscriptions.push(subscription);
}

function unsubscribe(): void {
  for (const subscription of subscriptions.splice(0)) subscription.unsubscribe();
}

export function onModeExit(managers: Managers): void {
  unsubscribe();
  similarCases(managers).leave();
}
