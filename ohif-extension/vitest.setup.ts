/** Tells React that the tests wait for its updates with act(). */
Object.assign(globalThis, { IS_REACT_ACT_ENVIRONMENT: true });
