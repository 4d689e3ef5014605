/** How the tree is laid out, and the few exceptions from the rules with their reasons. A new exception is added here or nowhere. */

/** Folders of packages/engine/src: a folder imports from those to its left. */
export const engineFolders = [
  'bytes',
  'schema',
  'commit',
  'log',
  'graph',
  'merge',
  'edit',
  'trust',
  'sync',
  'mesh',
  'query',
  'history',
  'replica',
]

const adapters = ['packages/storage', 'packages/runtime', 'packages/socketio', 'packages/webrtc', 'packages/svelte']

/** What each of our packages may import of the others. Packages that are not listed here are an offence. */
export const packageImports: Readonly<Record<string, readonly string[]>> = {
  'packages/engine': [],
  'packages/storage': ['packages/engine'],
  'packages/runtime': ['packages/engine'],
  'packages/socketio': ['packages/engine'],
  'packages/webrtc': ['packages/engine'],
  'packages/svelte': ['packages/engine'],
  'packages/server': ['packages/engine', 'packages/storage', 'packages/runtime', 'packages/socketio'],
  'packages/cli': ['packages/engine', 'packages/storage', 'packages/runtime', 'packages/socketio'],
  'packages/weft': ['packages/engine', ...adapters, 'packages/server'],
  demo: ['packages/engine', ...adapters, 'packages/server', 'packages/weft'],
  'signal-server': ['packages/engine', ...adapters, 'packages/server', 'packages/weft', 'demo'],
  test: ['packages/engine', ...adapters, 'packages/server', 'packages/cli', 'packages/weft', 'demo', 'signal-server'],
  'test/bench': ['packages/engine', ...adapters, 'packages/weft', 'test'],
}

/** Words that say nothing about what a thing is, with their plurals. The glossary of the design has the words to use. */
export const bannedWords = [
  'document',
  'record',
  'manager',
  'helper',
  'util',
  'common',
  'base',
  'misc',
  'data',
  'documents',
  'records',
  'managers',
  'helpers',
  'utils',
  'bases',
]

/** Phrases that contain a banned word and mean something all the same: a name may hold these words in this order. */
export const allowedPhrases: readonly { readonly words: readonly string[]; readonly reason: string }[] = [
  { words: ['merge', 'base'], reason: 'the established name of a common ancestor, in the glossary' },
  { words: ['merge', 'bases'], reason: 'its plural' },
  { words: ['data', 'channel'], reason: "WebRTC's own name" },
]

export const longestFile = 600

/** Files that may be longer: one state machine is not cut in two. */
export const longFiles: Readonly<Record<string, string>> = {
  'packages/engine/src/sync/step.ts': 'one state machine, whose states are read together',
  'packages/engine/src/sync/step.test.ts': 'its conversations, on one small store',
}

/** Files that nothing imports and no script names. */
export const entryPoints: Readonly<Record<string, string>> = {
  'demo/worker.js': 'the build reads it and writes it out with the list of files',
  'packages/engine/src/merge/oracle.ts': 'the oracle that judges merging: unit tests import it',
  'test/types/schema.ts': 'programs that must not compile: the compiler reads it',
  'packages/engine/src/merge/naive.ts': 'the oracle that judges the walker: tests import it from every folder',
  'test/mutants/tabs.ts': 'test/soak.ts runs it',
  'test/crash/server.ts': 'test/crash/process.ts spawns it',
}

/** Files that name what they forbid. */
export const namesWhatItForbids = (path: string): boolean => path.startsWith('test/tidy/')
