import css from './styles.css';

const ID = 'cbmir-styles';

/** Puts the styles into the page, once. */
export function insertStyles(): void {
  if (document.getElementById(ID)) return;
  const style = document.createElement('style');
  style.id = ID;
  style.textContent = css;
  document.head.append(style);
}
