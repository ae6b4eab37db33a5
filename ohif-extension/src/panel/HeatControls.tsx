/** "Why similar" for the pair on screen: a switch, and while it is on, how strong the colours are and what they mean. */
import { formatSimilarity } from '../format';
import type { State } from '../state';
import { text } from '../text';
import { useService } from '../useSimilarCases';
import { Icon } from './Icon';

export function HeatControls({ state: { comparing, heat, heatOpacity } }: { state: State }) {
  const service = useService();
  if (!comparing) return null;
  const isOn = heat.phase !== 'off';
  return (
    <section className="cbmir-heat" aria-label={text.heat} data-cy="cbmir-heat" data-state={heat.phase}>
      <div className="cbmir-heat-row">
        <button
          type="button"
          role="switch"
          className="cbmir-button cbmir-heat-switch"
          data-cy="cbmir-heat-switch"
          aria-checked={isOn}
          title={text.heatTitle}
          onClick={() => service.heat.setOn(!isOn)}
        >
          <Icon name="heat" />
          {text.heat}
        </button>
        {isOn && <Opacity value={heatOpacity} />}
      </div>
      <div aria-live="polite">
        {heat.phase === 'searching' && <p className="cbmir-muted">{text.searching}</p>}
        {heat.phase === 'shown' && <Legend similarity={heat.similarity} />}
        {heat.phase === 'failed' && <NotComputed detail={heat.failure.detail} />}
      </div>
    </section>
  );
}

function Opacity({ value }: { value: number }) {
  const service = useService();
  return (
    <input
      type="range"
      className="cbmir-range"
      data-cy="cbmir-heat-opacity"
      aria-label={text.heatOpacity}
      title={text.heatOpacity}
      min={0}
      max={1}
      step={0.05}
      value={value}
      onInput={(event) => service.heat.setOpacity(Number(event.currentTarget.value))}
      // The viewer's hotkeys do nothing while a field has the focus; a mouse has no use for it here.
      onPointerUp={(event) => event.currentTarget.blur()}
    />
  );
}

function Legend({ similarity }: { similarity: number }) {
  return (
    <div className="cbmir-legend">
      <span className="cbmir-scale" aria-hidden="true" />
      <span className="cbmir-scale-ends">
        <span>{text.heatLowers}</span>
        <span>{text.heatAverage}</span>
        <span>{text.heatMost}</span>
      </span>
      <p>{text.heatExplained(formatSimilarity(similarity))}</p>
    </div>
  );
}

function NotComputed({ detail }: { detail: string | null }) {
  const service = useService();
  return (
    <p className="cbmir-muted">
      {text.heatFailed} {detail}{' '}
      <button type="button" className="cbmir-link" data-cy="cbmir-heat-retry" onClick={() => service.heat.setOn(true)}>
        {text.retry}
      </button>
    </p>
  );
}
