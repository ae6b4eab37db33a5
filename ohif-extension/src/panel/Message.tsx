import type { ComponentChildren } from 'preact';

import { Icon, type IconName } from './Icon';

interface Props {
  icon: IconName;
  title: string;
  body: string;
  /** The server's own words. */
  detail?: string | null | undefined;
  name: string;
  children?: ComponentChildren;
}

/** What the panel says when there are no cards to show. */
export function Message({ icon, title, body, detail, name, children }: Props) {
  return (
    <div className="cbmir-message" data-cy="cbmir-message" data-state={name}>
      <Icon name={icon} size={32} />
      <h3>{title}</h3>
      <p>{body}</p>
      {detail && <p className="cbmir-detail">{detail}</p>}
      {children}
    </div>
  );
}
