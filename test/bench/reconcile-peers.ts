/** What the same differences cost the peers, without what they then send: exact bytes of their own messages. */
import { peer } from './peers.ts'

export interface PeerTalk {
  readonly bytes: number
  /** One-way, until both know what to send. */
  readonly messages: number
}

interface YDoc {
  clientID: number
  getArray(name: string): { push(items: readonly number[]): void }
  transact(run: () => void): void
  destroy(): void
}

interface Yjs {
  readonly Doc: new () => YDoc
  encodeStateVector(doc: YDoc): Uint8Array
  encodeStateAsUpdate(doc: YDoc): Uint8Array
  applyUpdate(doc: YDoc, update: Uint8Array): void
}

/** Type, step and length of a sync message in the y-protocols. */
const envelope = (length: number): number => 2 + (length < 128 ? 1 : length < 16_384 ? 2 : 3)

/**
 * State vectors, sent both ways as soon as the two are connected: once each has heard the other's, both know. Client ids are spread over
 * 32 bits, as Yjs draws them.
 */
export const yjsTalk = async (
  clients: number,
  length: number,
  moved: number,
  each: number,
): Promise<PeerTalk | undefined> => {
  const yjs = await peer<Yjs>('yjs')
  if (yjs === undefined) return undefined
  const shared = new yjs.Doc()
  const write = (doc: YDoc, client: number, count: number): void => {
    doc.clientID = client
    // One push is one struct of so many clocks, and the vector holds the clock.
    doc.getArray('list').push(new Array<number>(count).fill(0))
  }
  // In one transaction: each of them costs the number of clients.
  shared.transact(() => {
    for (let index = 0; index < clients; index++) write(shared, clientOf(index), length)
  })
  const start = yjs.encodeStateAsUpdate(shared)
  const sides = [0, 1].map(() => {
    const doc = new yjs.Doc()
    yjs.applyUpdate(doc, start)
    return doc
  })
  for (let index = 0; index < moved; index++) {
    const side = sides[index % 2]
    if (side !== undefined) write(side, clientOf(index), each)
  }
  const vectors = sides.map((side) => yjs.encodeStateVector(side).length)
  for (const doc of [shared, ...sides]) doc.destroy()
  return { bytes: vectors.reduce((sum, bytes) => sum + bytes + envelope(bytes), 0), messages: 1 }
}

/** Knuth's multiplicative hash: spread over 32 bits, no two alike. */
const clientOf = (index: number): number => Math.imul(index + 1, 2_654_435_761) >>> 0

interface AutomergeDoc {
  [field: string]: unknown
}

interface Automerge {
  init(options?: { actor?: string }): AutomergeDoc
  change(doc: AutomergeDoc, options: { time: number }, edit: (draft: AutomergeDoc) => void): AutomergeDoc
  clone(doc: AutomergeDoc): AutomergeDoc
  initSyncState(): object
  generateSyncMessage(doc: AutomergeDoc, state: object): [object, Uint8Array | null]
  receiveSyncMessage(doc: AutomergeDoc, state: object, message: Uint8Array): [AutomergeDoc, object, unknown]
  decodeSyncMessage(message: Uint8Array): { changes: readonly Uint8Array[] }
  getHeads(doc: AutomergeDoc): readonly string[]
}

/** A fresh sync (or, for those who met before, one after an earlier sync) of two copies, d / 2 changes more on each side. */
export const automergeTalks = async (
  commits: number,
  cases: readonly { readonly name: string; readonly moved: number; readonly each: number; readonly known: boolean }[],
): Promise<(PeerTalk & { readonly name: string })[]> => {
  const automerge = await peer<Automerge>('@automerge/automerge')
  if (automerge === undefined) return []
  const write = (doc: AutomergeDoc, count: number): AutomergeDoc => {
    let next = doc
    for (let index = 0; index < count; index++)
      next = automerge.change(next, { time: 0 }, (draft) => {
        draft['count'] = index
      })
    return next
  }
  const shared = write(automerge.init(), commits)
  const measured = new Map<string, PeerTalk>()
  return cases.map(({ name, moved, each, known }) => {
    const same = `${moved * each} ${known}`
    const before = measured.get(same)
    if (before !== undefined) return { name, ...before }
    const sides = [0, 1].map(() => ({ doc: automerge.clone(shared), state: automerge.initSyncState() }))
    const [first, second] = sides
    if (first === undefined || second === undefined) throw new Error('two sides')
    if (known) exchange(automerge, first, second)
    first.doc = write(first.doc, Math.ceil((moved * each) / 2))
    second.doc = write(second.doc, Math.floor((moved * each) / 2))
    const talk = exchange(automerge, first, second)
    measured.set(same, talk)
    return { name, ...talk }
  })
}

interface AutomergeSide {
  doc: AutomergeDoc
  state: object
}

/** Turn by turn until both are silent. */
const exchange = (automerge: Automerge, first: AutomergeSide, second: AutomergeSide): PeerTalk => {
  let bytes = 0
  let messages = 0
  let lastPush = 1
  for (let silent = 0, turn = 0; silent < 2; turn++) {
    const [from, to] = turn % 2 === 0 ? [first, second] : [second, first]
    const [state, message] = automerge.generateSyncMessage(from.doc, from.state)
    from.state = state
    if (message === null) {
      silent++
      continue
    }
    silent = 0
    messages++
    const { changes } = automerge.decodeSyncMessage(message)
    if (changes.length > 0) lastPush = messages
    bytes += message.length - changes.reduce((sum, change) => sum + change.length, 0)
    const [doc, next] = automerge.receiveSyncMessage(to.doc, to.state, message)
    to.doc = doc
    to.state = next
  }
  return { bytes, messages: Math.max(1, lastPush - 1) }
}
