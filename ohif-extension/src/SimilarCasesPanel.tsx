/** The panel: what was searched with, how, and what was found. */
import { useState } from 'preact/hooks';

import { activeFilters } from './options';
import { CaseList } from './panel/CaseList';
import { FailureMessage } from './panel/FailureMessage';
import { HeatControls } from './panel/HeatControls';
import { Icon } from './panel/Icon';
import { IconButton } from './panel/IconButton';
import { KeepBar } from './panel/KeepBar';
import { Message } from './panel/Message';
import { Priors } from './panel/Priors';
import { QuerySlice } from './panel/QuerySlice';
import { RefineBar } from './panel/RefineBar';
import { SearchOptions } from './panel/SearchOptions';
import { Skeleton } from './panel/Skeleton';
import { Statistics } from './panel/Statistics';
import { Summary } from './panel/Summary';
import { Unusual } from './panel/Unusual';
import type { NoticeKind, State } from './state';
import { text } from './text';
import { useService, useSimilarCases } from './useSimilarCases';

export function SimilarCasesPanel() {
  const state = useSimilarCases();
  return (
    <div className="cbmir-panel" data-cy="cbmir-panel" data-phase={state.search.phase}>
      <Header state={state} />
      <QuerySlice state={state} />
      <Summary state={state} />
      <HeatControls state={state} />
      {state.notice && <Notice notice={state.notice} />}
      <RefineBar state={state} />
      <div className="cbmir-body" aria-busy={state.search.phase === 'searching'}>
        <Unusual state={state} />
        <Body state={state} />
        <Statistics state={state} />
      </div>
      <KeepBar state={state} />
      <Priors state={state} />
      <Footer state={state} />
    </div>
  );
}

function Header({ state }: { state: State }) {
  const service = useService();
  const [expanded, setExpanded] = useState(false);
  const filters = activeFilters(state.options);
  return (
    <header>
      <div className="cbmir-header">
        <button
          type="button"
          className="cbmir-button cbmir-primary"
          data-cy="cbmir-find"
          title={text.findTitle}
          onClick={() => service.findSimilar()}
        >
          <Icon name="search" />
          {text.find}
        </button>
        <IconButton
          icon="region"
          cy="region-button"
          label={text.region}
          title={`${text.region}: ${text.regionTitle}`}
          onClick={() => service.findSimilarToRegion()}
        />
        <IconButton
          icon="options"
          cy="options-button"
          label={filters > 0 ? `${text.options}, ${text.optionsActive(filters)}` : text.options}
          aria-expanded={expanded}
          onClick={() => setExpanded(!expanded)}
        >
          {filters > 0 && <span className="cbmir-badge">{filters}</span>}
        </IconButton>
      </div>
      {expanded && <SearchOptions state={state} />}
    </header>
  );
}

function Body({ state: { search, opened } }: { state: State }) {
  switch (search.phase) {
    case 'idle':
      return <Message icon="search" title={text.idleTitle} body={text.idle} name="idle" />;
    case 'searching':
      return <Skeleton />;
    case 'failed':
      return <FailureMessage failure={search.failure} status={search.status} />;
    case 'found':
      if (search.answer.cases.length > 0) return <CaseList cases={search.answer.cases} opened={opened} />;
      return <Message icon="empty" title={text.noneTitle} body={search.answer.message ?? text.none} name="none" />;
  }
}

function Notice({ notice }: { notice: NoticeKind }) {
  const service = useService();
  return (
    <div className="cbmir-notice" role="alert" data-cy="cbmir-notice">
      <span>{text[notice]}</span>
      <IconButton icon="close" cy="dismiss" label={text.dismiss} onClick={() => service.dismissNotice()} />
    </div>
  );
}

function Footer({ state: { search } }: { state: State }) {
  return (
    <footer className="cbmir-footer">
      <strong>{text.disclaimer}</strong>
      {search.phase === 'found' && <span title={search.answer.model.id}>{text.model(search.answer.model.name)}</span>}
    </footer>
  );
}
