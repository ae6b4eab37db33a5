import { expect, it } from 'vitest';

import { resolve, rootOf } from './orthanc';

it('finds Orthanc two folders above the module, behind a prefix too', () => {
  expect(rootOf('http://localhost:8042/ohif/cbmir/extension.js')).toBe('http://localhost:8042/');
  expect(rootOf('https://pacs.example/imaging/ohif/cbmir/extension.js')).toBe('https://pacs.example/imaging/');
});

it('takes paths as below the root', () => {
  expect(resolve('/instances/1/preview', 'https://pacs.example/imaging/')).toBe(
    'https://pacs.example/imaging/instances/1/preview',
  );
});

it.each(['https://evil.example/x.png', 'javascript:alert(1)', 'data:text/html,x'])('refuses %s', (path) => {
  expect(resolve(path, 'https://pacs.example/')).toBeNull();
});

it('takes a path that looks like another host as a path', () => {
  expect(resolve('//evil.example/x.png', 'https://pacs.example/')).toBe('https://pacs.example/evil.example/x.png');
});
