/** The log of a repository as the authority could write it: a row holds the key, and writes whatever history it needs. */
import { toHex } from '../../packages/engine/src/bytes/bytes.ts'
import { isRefusal } from '../../packages/engine/src/bytes/refusal.ts'
import type { Commit, Position } from '../../packages/engine/src/commit/commit.ts'
import { AuthorityLog } from '../../packages/engine/src/trust/authoritylog.ts'
import { type Entry, encodeEntry, readEntry, type Statement } from '../../packages/engine/src/trust/entry.ts'
import { messageOf, sealBody } from '../../packages/engine/src/trust/signed.ts'
import { board, hash, type Target } from './target.ts'

export class Chronicle {
  readonly log: AuthorityLog
  readonly #target: Target

  constructor(target: Target, path = board) {
    this.#target = target
    this.log = new AuthorityLog(path)
  }

  get position(): Position | null {
    return this.log.position
  }

  async write(statement: Statement): Promise<Entry> {
    const { authority, network, database, time } = this.#target
    const body = encodeEntry({
      network,
      log: this.log.path,
      epoch: 0,
      n: this.log.next,
      prev: this.log.position?.hash ?? null,
      root: database.root.position,
      time,
      signer: toHex(hash(authority.publicKey)),
      statement,
    })
    const { bytes } = sealBody(body, await authority.sign(messageOf('entry', body, hash)), hash)
    const entry = readEntry(bytes, hash)
    if (isRefusal(entry)) throw new Error(`an entry that is ${entry.code}`)
    const why = this.log.check(entry, hash)
    if (why !== undefined) throw new Error(`an entry that does not follow: ${JSON.stringify(why)}`)
    this.log.append(entry)
    return entry
  }

  give(owner: string, role: string | null, { fences = false, founding = false } = {}): Promise<Entry> {
    return this.write({ kind: 'grant', owner, role, by: null, fences, founding })
  }

  cover(...commits: readonly Commit[]): Promise<Entry> {
    const moved = commits.map(({ chain, seq, id }) => ({ chain, seq, id }))
    return this.write({ kind: 'checkpoint', headsRoot: this.log.rootWith(moved, hash), stateRoot: null, moved })
  }
}
