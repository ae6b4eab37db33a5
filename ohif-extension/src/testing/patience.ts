/** No test waits for a fixed time: what it waits for comes about on a busy machine too. */
import { configure } from '@testing-library/preact';

configure({ asyncUtilTimeout: 60_000 });
