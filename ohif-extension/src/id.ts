import { name } from '../package.json';

/** OHIF's rule: the id of an extension is the name of its package. */
export const id = name;

export const PANEL = 'similarCases';
export const PANEL_ID = `${id}.panelModule.${PANEL}`;
