/** Line icons of 16 px. Always beside words or inside a labelled button, so hidden from screen readers. */
const PATHS = {
  search: 'M7 12.5a5.5 5.5 0 1 0 0-11 5.5 5.5 0 0 0 0 11ZM11 11l3.5 3.5',
  options: 'M2 4.5h7M12 4.5h2M2 11.5h2M7 11.5h7M10.5 6.5v-4M5.5 13.5v-4',
  previous: 'M10 3 5 8l5 5',
  next: 'm6 3 5 5-5 5',
  link: 'M6.5 9.5 9.5 6.5M7 4.5l1.6-1.6a3.2 3.2 0 0 1 4.5 4.5L11.5 9M9 11.5l-1.6 1.6a3.2 3.2 0 0 1-4.5-4.5L4.5 7',
  back: 'M3 7.5h7a3.5 3.5 0 0 1 0 7H6M6 4.5l-3 3 3 3',
  more: 'm4 6 4 4 4-4',
  less: 'm4 10 4-4 4 4',
  warning: 'M8 2 1.5 13.5h13L8 2ZM8 6.5v3.5M8 12v.1',
  wait: 'M8 14.5a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13ZM8 4.5V8l2.5 1.5',
  lock: 'M3.5 7.5h9v6.5h-9zM5.5 7.5V5a2.5 2.5 0 0 1 5 0v2.5',
  empty: 'M2 3.5h12v9H2zM2 10l3.5-3 3 2.5L11 7.5l3 2.5',
  region: 'M2 5V2h3M11 2h3v3M14 11v3h-3M5 14H2v-3M5.5 5.5h5v5h-5z',
  heat: 'M8 14.5a4.5 4.5 0 0 0 4.5-4.5C12.5 7 8.5 6 9 1.5 6 3 3.5 6.5 3.5 10A4.5 4.5 0 0 0 8 14.5ZM8 14.5c-2.5-1.5-1-4 0-5 1 1 2.5 3.5 0 5',
  up: 'M5 7v7H2V7zM5 8l3-6c1.5 0 2 1 1.7 2.2L9.3 6.5H13a1 1 0 0 1 1 1.2l-1 5A1.5 1.5 0 0 1 11.5 14H5',
  down: 'M5 9V2H2v7zM5 8l3 6c1.5 0 2-1 1.7-2.2L9.3 9.5H13a1 1 0 0 0 1-1.2l-1-5A1.5 1.5 0 0 0 11.5 2H5',
  keep: 'M4 2h8v12l-4-3-4 3zM8 4.5v4M6 6.5h4',
  save: 'M2.5 2.5h9l2 2v9h-11zM5 2.5v4h5v-4M5 13.5v-4h6v4',
  sheet: 'M2.5 2h11v12h-11zM4.5 4h3v3h-3zM8.5 4h3v3h-3zM4.5 8.5h3v3h-3zM8.5 8.5h3v3h-3z',
  close: 'm4 4 8 8M12 4l-8 8',
};

export type IconName = keyof typeof PATHS;

export function Icon({ name, size = 16 }: { name: IconName; size?: number }) {
  return (
    <svg className="cbmir-icon" width={size} height={size} viewBox="0 0 16 16" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  );
}
