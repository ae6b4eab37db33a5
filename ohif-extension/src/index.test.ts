import { expect, it, vi } from 'vitest';

import manifest from '../package.json';
import extension from './index';
import { similarCases } from './getCommandsModule';
import { series, ViewerDouble } from './testing/viewerDouble';

function entered() {
  const viewer = new ViewerDouble(...series('1.1.1', 3));
  extension.preRegistration(viewer.managers);
  extension.onModeEnter(viewer.managers);
  return viewer;
}

it('is named as its package, by which OHIF finds its modules', () => {
  expect(extension.id).toBe(manifest.name);
  expect(manifest.keywords).toContain('ohif-extension');
});

it('names every panel and shows the one it has', () => {
  const viewer = entered();
  const [panel] = extension.getPanelModule(viewer.managers);
  expect(viewer.panels).toEqual([`${extension.id}.panelModule.${panel?.name}`]);
});

it('puts the buttons behind those of the mode, which come right after', async () => {
  const { toolbarService } = entered().managers.servicesManager.services;
  expect(toolbarService.updateSection).not.toHaveBeenCalled();
  await Promise.resolve();
  expect(toolbarService.updateSection).toHaveBeenCalledWith('primary', ['FindSimilar', 'SimilarToRegion']);
});

it('gives a hotkey only to commands that exist', () => {
  const { managers } = entered();
  const { setCustomizations } = managers.servicesManager.services.customizationService;
  const [[customizations]] = vi.mocked(setCustomizations).mock.calls as [[Record<string, { $push: Hotkey[] }>]];
  const { definitions } = extension.getCommandsModule(managers);
  const hotkeys = customizations['ohif.hotkeyBindings']?.$push ?? [];
  expect(hotkeys.map(({ keys }) => keys)).toEqual([['f'], ['shift+f'], ['.'], [',']]);
  for (const { commandName } of hotkeys) expect(definitions).toHaveProperty(commandName);
});

interface Hotkey {
  commandName: string;
  keys: string[];
}

it('opens the panel when it is told to search', () => {
  const viewer = entered();
  extension.getCommandsModule(viewer.managers).definitions.findSimilar.commandFn();
  expect(viewer.activated).toEqual(viewer.panels);
  expect(similarCases(viewer.managers).getState().search.phase).toBe('searching');
});

it('listens once, however often a study is opened, and not at all after the last is left', () => {
  const viewer = entered();
  const listening = viewer.events.size;
  extension.onModeEnter(viewer.managers);
  expect(viewer.events.size).toBe(listening);
  extension.onModeExit(viewer.managers);
  expect(viewer.events.size).toBe(listening - 1);
});

it('holds the one service over all studies', () => {
  const { managers } = entered();
  const service = similarCases(managers);
  extension.onModeExit(managers);
  extension.onModeEnter(managers);
  expect(similarCases(managers)).toBe(service);
});
