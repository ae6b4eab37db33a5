/** Every word the reader sees. Another language is another object of this type. */
import type { FailureKind } from './failure';

const english = {
  panelTitle: 'Similar cases',
  panelTab: 'Similar',
  buttonTooltip: 'Find cases similar to this slice (F)',
  hotkeyFind: 'Find similar cases',
  hotkeyNext: 'Next similar case',
  hotkeyPrevious: 'Previous similar case',

  disclaimer: 'For finding reference cases. Not for diagnosis.',
  model: (name: string) => `Model ${name}`,

  find: 'Find similar',
  findTitle: 'Search with the slice in the active viewport (F)',
  query: 'Query slice',
  slice: (number: number) => `Slice ${number}`,
  frame: (frame: number, frames: number) => `Frame ${frame} of ${frames}`,

  region: 'Similar to region',
  regionTitle: 'Search with the rectangle drawn on the slice in the active viewport (Shift+F)',
  regionQuery: 'Query region',
  regionSize: (width: number, height: number) => `${width} × ${height} pixels`,
  scope: 'What to search with',
  scopes: { slice: 'Slice', series: 'Series', study: 'Study' },
  scopeTitles: {
    slice: 'Search with this slice alone',
    series: 'Search with all slices of its series',
    study: 'Search with all series of its study',
  },
  volumeQuery: { series: 'Query series', study: 'Query study' },
  compared: (slices: number, series: number) =>
    series === 1 ? `${slices} slices compared` : `${slices} slices of ${series} series compared`,
  wholeSlice: 'Whole slice',
  wholeSliceTitle: 'Search with the whole slice again',
  drawRegion: 'Draw a rectangle on the slice: press, drag and let go. The search starts by itself.',

  idleTitle: 'Find cases like this one',
  idle: 'Scroll to a slice of interest, then press Find similar, or the key F.',

  searching: 'Searching …',
  looksMostLike: (label: string, percent: number) => `Looks most like: ${label} pictures (${percent} %)`,
  looksLikeNone: 'Looks like none of the classes the network knows',
  looksExplained: (classes: string) =>
    `What the network would call the picture if it were one of its classes: ${classes}. It compares pictures and knows nothing else; this is no finding.`,
  found: (n: number) => (n === 1 ? '1 similar case' : `${n} similar cases`),
  noneTitle: 'No similar cases',
  none: 'Nothing in the archive matches this search. Fewer filters may find more.',

  rank: (rank: number) => `${rank}`,
  openCase: (rank: number) => `Compare with case ${rank}`,
  openSlice: (similarity: string) => `Compare with this slice, similarity ${similarity}`,
  similarity: 'Similarity',
  percentile: (percentile: number, similarity: string) =>
    `Of the slices in this archive, ${percentile} % have a nearest slice that is less similar than this. Cosine similarity ${similarity}`,
  moreSlices: (n: number) => (n === 1 ? '1 more matching slice' : `${n} more matching slices`),
  shown: 'Shown on the right',
  provenance: (source: string) => `Source: ${source}`,
  noPicture: 'No picture',
  report: 'Report',

  markSimilar: (rank: number) => `Case ${rank} is similar`,
  markDifferent: (rank: number) => `Case ${rank} is not similar`,
  marks: (n: number) => (n === 1 ? '1 case marked' : `${n} cases marked`),
  refine: 'Refine',
  refineTitle: 'Rank again by the query and the marked cases',
  refined: 'Refined by marked cases',
  unrefine: 'Undo',
  unrefineTitle: 'Back to the ranking by the query alone',
  notKept: 'Your opinion could not be stored on the server. It still counts when you refine.',
  notTakenBack: 'Your opinion could not be taken back on the server.',

  unusualTitle: 'Nothing much like this here',

  statistics: 'Labels of the nearest patients',
  labelled: (labelled: number, patients: number) => `${labelled} of the ${patients} nearest patients have a label`,
  labelledVerified: (labelled: number, patients: number) =>
    `${labelled} of the ${patients} nearest patients have a verified label`,
  shareOf: (patients: number, labelled: number) => `${patients} of ${labelled}`,
  interval: (low: number, high: number) => `${low} to ${high} %`,
  intervalExplained:
    'Where the share lies in nineteen of twenty such samples (Wilson). The mark is the share in the whole archive.',
  archiveShare: (share: number) => `archive ${share} %`,
  enrichments: {
    more: (times: string) => `${times} × the archive`,
    less: (times: string) => `${times} × the archive`,
    alike: () => 'no more than chance explains',
  },
  verifiedOnly: 'Count verified labels only',
  counterExample: 'Nearest case with another verified label',

  choose: (rank: number) => `Choose case ${rank} to be kept`,
  toKeep: (n: number, all: boolean) => (n === 1 ? '1 case' : all ? `All ${n} cases` : `${n} cases`),
  chosen: (cases: string) => `${cases} chosen`,
  save: 'Save as DICOM',
  saveTitle:
    'Store a structured report (query, cases, similarities) and a key object selection in the study of the query',
  sheet: 'Contact sheet',
  sheetSaveTitle: 'Download a page for teaching: pictures, labels and sequences, no names, ids or dates',
  saving: 'Saving …',
  drawing: 'Drawing …',
  saved: 'Saved in this study: a report and key objects.',
  openReport: 'Open the report',
  keepFailed: { saving: 'Could not be saved.', drawing: 'Could not be drawn.' },
  mayNotStore: 'Your account may not store in this archive.',
  sheetTitle: 'Similar cases',
  sheetHow: (model: string) => `Ranked by how alike the pictures look to a network (${model})`,
  sheetHit: (rank: number, similarity: string) => `${rank} · similarity ${similarity}`,

  heat: 'Why similar',
  heatTitle: 'Show on both pictures where their similarity comes from',
  heatOpacity: 'Opacity',
  heatLowers: 'lowers it',
  heatAverage: 'average',
  heatMost: 'adds most',
  heatExplained: (similarity: string) =>
    `What each place adds to the similarity of ${similarity}. It shows what the model compares, not where disease is.`,
  heatFailed: 'The explanation could not be computed.',

  priors: 'Same patient',
  priorsExplained: 'Earlier and other studies of this patient, most similar slice of each',
  noPriors: 'No other indexed study of this patient.',
  priorsFailed: 'Could not be searched.',

  options: 'Search options',
  optionsActive: (n: number) => (n === 1 ? '1 filter active' : `${n} filters active`),
  group: 'One card per',
  groups: { patient: 'Patient', study: 'Study', none: 'Slice' },
  k: 'Show',
  sameModality: 'Same modality',
  sameSequence: 'Same sequence description',
  labelledOnly: 'Labelled cases only',
  sameClass: 'Only what looks like the same class',
  from: 'Study date from',
  to: 'to',
  reset: 'Reset filters',

  comparing: (position: number, total: number) => `${position} of ${total}`,
  previous: 'Previous case ( , )',
  next: 'Next case ( . )',
  linked: 'Linked scrolling',
  back: 'Back',
  backTitle: 'Back to the layout before',
  captionQuery: 'Query',
  captionHit: (rank: number, similarity: string) => `Similar case ${rank}, similarity ${similarity}`,
  captionOther: (similarity: string) => `Other label, similarity ${similarity}`,
  captionPrior: (similarity: string) => `Same patient, similarity ${similarity}`,

  retry: 'Try again',
  dismiss: 'Dismiss',
  sliceGone:
    'This case could not be opened: it is no longer in the archive, or not open to you. The list was searched anew.',

  failures: {
    unsupported: {
      title: 'No slice to search with',
      body: 'Select a viewport that shows the slices of a series; documents, videos and 3D views cannot be searched.',
    },
    unauthorised: { title: 'Not signed in', body: 'The session has ended. Reload the page to sign in again.' },
    forbidden: { title: 'Not permitted', body: 'Your account may not search for this study.' },
    notIndexed: { title: 'Not indexed', body: 'This slice is not in the index of similar cases.' },
    unavailable: { title: 'Search is not available now', body: 'It should be back in a moment.' },
    timeout: { title: 'No answer in time', body: 'The server took too long. It may be busy.' },
    unreachable: { title: 'Server not reachable', body: 'The connection to the archive was lost.' },
    unexpected: { title: 'Answer not understood', body: 'The server sent something unexpected.' },
  } satisfies Record<FailureKind, { title: string; body: string }>,

  starting: { title: 'Starting', body: 'The search loads its model and index.' },
  disabled: { title: 'Search is switched off', body: 'The administrator can switch it on again.' },
  indexing: (queued: number) => (queued === 1 ? '1 slice to be indexed' : `${queued} slices to be indexed`),
  eta: (seconds: number) => (seconds < 90 ? `about ${Math.ceil(seconds)} s` : `about ${Math.round(seconds / 60)} min`),
};

export type Catalogue = typeof english;

export const text: Catalogue = english;
