import { createContext } from 'preact';
import { useContext, useLayoutEffect, useState } from 'preact/hooks';

import type { SimilarCasesService } from './SimilarCasesService';
import type { State } from './state';

export const ServiceContext = createContext<SimilarCasesService | null>(null);

export function useService(): SimilarCasesService {
  const service = useContext(ServiceContext);
  if (!service) throw new Error('outside of ServiceContext');
  return service;
}

export function useSimilarCases(): State {
  const service = useService();
  const [state, setState] = useState(service.getState);
  useLayoutEffect(() => {
    const follow = () => setState(service.getState());
    // What has changed between the first rendering and now.
    follow();
    return service.subscribe(follow);
  }, [service]);
  return state;
}
