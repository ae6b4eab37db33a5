import { name } from '../package.json';

/** OHIF's rule: the id of an extension is the name of its package. */
export const id = name;

export const PANEL = 'similarCases';
export const PANEL_ID = `${id}.panelModule.${PANEL}`;

/** One of OHIF's own, as extensions cannot add any: other patients. Its magnifier is the button for zooming. */
export const ICON = 'icon-multiple-patients';
