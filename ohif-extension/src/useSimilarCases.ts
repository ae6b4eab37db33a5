import { createContext, useContext, useSyncExternalStore } from 'react';

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
  return useSyncExternalStore(service.subscribe, service.getState);
}
