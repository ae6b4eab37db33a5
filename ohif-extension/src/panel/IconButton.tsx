import type { ButtonHTMLAttributes } from 'preact';

import { Icon, type IconName } from './Icon';

interface Props extends Omit<ButtonHTMLAttributes, 'icon' | 'label' | 'className'> {
  icon: IconName;
  label: string;
  cy: string;
  className?: string;
}

/** A button of nothing but an icon; its label is read out, and shown when it is pointed at. */
export function IconButton({ icon, label, cy, className = '', children, ...rest }: Props) {
  return (
    <button
      type="button"
      className={`cbmir-icon-button ${className}`}
      data-cy={`cbmir-${cy}`}
      aria-label={label}
      title={label}
      {...rest}
    >
      <Icon name={icon} />
      {children}
    </button>
  );
}
