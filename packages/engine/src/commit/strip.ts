/**
 * A commit without the content of some of its changes: the hash of a content stands where it stood. Header, id and signature stay as they
 * are, so everything that was checked of the commit still holds.
 */
import { toHex } from '../bytes/bytes.ts'
import { decode, encode, type Plain } from '../bytes/cbor.ts'
import { isRefusal } from '../bytes/refusal.ts'
import { type Commit, type Hash, readCommit } from './commit.ts'

/** The commit without the content of its changes of the items that `drops` names; the same one when there is nothing to drop. */
export const stripCommit = (commit: Commit, drops: (key: string) => boolean, hash: Hash): Commit => {
  const drop = commit.changes.map(({ key, erased }) => !erased && drops(key))
  if (!drop.includes(true)) return commit
  const record = decode(commit.bytes)
  const [header, signature, changes] = (isRefusal(record) ? [] : record) as readonly Plain[]
  if (header === undefined || signature === undefined || !Array.isArray(changes))
    throw new TypeError(`the commit ${commit.id} has no record`)
  const stripped = (changes as readonly (readonly Plain[])[]).map(([identity, operations, content], index) => [
    identity ?? null,
    operations ?? null,
    drop[index] === true && content instanceof Uint8Array ? [hash(content)] : (content ?? null),
  ])
  const read = readCommit(encode([header, signature, stripped]), hash)
  if (isRefusal(read)) throw new TypeError(`the commit ${commit.id} is ${read.code} without its content`)
  return read
}

/** The id of the commit that these bytes hold; undefined when they hold none. */
export const idIn = (bytes: Uint8Array, hash: Hash): string | undefined => {
  const record = decode(bytes)
  const header = Array.isArray(record) ? (record as readonly Plain[])[0] : undefined
  return header instanceof Uint8Array ? toHex(hash(header)) : undefined
}
