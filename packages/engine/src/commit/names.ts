/** What commits name, shared by those that name the same: there are many of them, and few chains, policies and schemas. */

/** A place in a log of the authority. `hash` is hex, of the entry at `n`. */
export interface Position {
  readonly epoch: number
  readonly n: number
  readonly hash: string
}

/** What the author had seen of the authority when writing. `authority` is null before the repository's first entry. */
export interface Policy {
  readonly root: Position
  readonly authority: Position | null
}

export interface SchemaName {
  readonly name: string
  readonly version: number
  /** SHA-256 of the definition, hex. */
  readonly hash: string
}

/** Commits come in runs of one chain, whose name is one string then. */
let lastChain = { session: '', incarnation: '', name: '' }

/** A chain's name: session and incarnation, hex. */
export const chainName = (session: string, incarnation: string): string => {
  if (lastChain.session !== session || lastChain.incarnation !== incarnation)
    lastChain = { session, incarnation, name: session + incarnation }
  return lastChain.name
}

const isSame = (a: Position | null, b: Position | null): boolean =>
  a === b || (a !== null && b !== null && a.n === b.n && a.epoch === b.epoch && a.hash === b.hash)

let lastPolicy: Policy | undefined
let lastSchema: SchemaName | undefined

/** Commits that cite the same share one object: there are many of them, and few policies. */
export const sharedPolicy = (root: Position, authority: Position | null): Policy => {
  if (lastPolicy === undefined || !isSame(lastPolicy.root, root) || !isSame(lastPolicy.authority, authority))
    lastPolicy = { root, authority }
  return lastPolicy
}

export const sharedSchema = (name: string, version: number, hash: string): SchemaName => {
  if (lastSchema?.hash !== hash || lastSchema.version !== version || lastSchema.name !== name)
    lastSchema = { name, version, hash }
  return lastSchema
}
