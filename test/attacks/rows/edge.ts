/** The rows of the catalogue that are about the edge of a server: floods, sockets, names and secrets. */
export { floods as D7, sybils as D8 } from './flood.ts'
export { names as D10, paths as F1 } from './names.ts'
export { keys as F6, replays as F3 } from './secrets.ts'
export { origins as F2, packets as F4, slow as D9 } from './sockets.ts'
