import { useState } from 'preact/hooks';

import { resolve, rootOf } from '../orthanc';
import { text } from '../text';

const ROOT = rootOf(import.meta.url);

/** A slice's picture; an empty frame of the same size where there is none. */
export function Thumbnail({ url }: { url: string | null }) {
  const [broken, setBroken] = useState<string | null>(null);
  const address = url?.startsWith('data:') ? url : url && resolve(url, ROOT);
  if (!address || broken === address) {
    return (
      <span className="cbmir-thumbnail cbmir-thumbnail-empty" role="img" aria-label={text.noPicture}>
        –
      </span>
    );
  }
  return (
    <img
      className="cbmir-thumbnail"
      src={address}
      alt=""
      decoding="async"
      draggable={false}
      onError={() => setBroken(address)}
    />
  );
}
