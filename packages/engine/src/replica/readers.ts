/** Which peers may have a repository, and what those are told who could and cannot any more. */
import { limits } from '../bytes/limits.ts'
import { type Refusal, refusal } from '../bytes/refusal.ts'
import { isRepositoryPath } from '../trust/rules.ts'
import type { Clock } from './clock.ts'
import type { Judging } from './judging.ts'
import type { Peer } from './peer.ts'
import type { Repositories } from './repositories.ts'
import type { Repository } from './repository.ts'

/** Entries that a former reader is sent at once, bytes; the rest when they ask again. */
const farewellMost = 8 * limits.frameBytes

export class Readers {
  readonly #repositories: Repositories
  readonly #isAuthority: boolean
  readonly #judging: Judging
  readonly #clock: Clock

  constructor(repositories: Repositories, isAuthority: boolean, judging: Judging, clock: Clock) {
    this.#repositories = repositories
    this.#isAuthority = isAuthority
    this.#judging = judging
    this.#clock = clock
  }

  /** The repository a peer asks for, opened if need be; undefined when it is none that this replica shows to anybody. */
  candidate(path: string, { certificate, isSelf = false }: Peer): Repository | undefined {
    // Peers share what both have open; other tabs of this browser work through this replica.
    if (!this.#isAuthority && !isSelf) return this.#repositories.get(path)
    if (!isRepositoryPath(path) || (certificate === undefined && !isSelf)) return undefined
    const repository = this.#repositories.at(path)
    this.#repositories.came(repository)
    return repository
  }

  /** Why the peer may not read an open repository. */
  mayRead({ pipeline, recovering }: Repository, { certificate, isAuthority, isSelf }: Peer): Refusal | undefined {
    // The authority may show anything this replica asked it for, and this browser what it holds.
    if (isAuthority || isSelf === true) return undefined
    if (certificate === undefined) return refusal('UnknownSession', pipeline.path)
    if (certificate.expires < this.#clock.now()) return refusal('CertificateExpired', certificate.session)
    // What says who reads it may be lost: whoever holds something of it may bring it, and is shown nothing.
    if (this.#isAuthority && recovering)
      return this.#judging.hasEnded(certificate) ? refusal('Revoked', pipeline.path) : undefined
    // Before the first entry many may become its founder; who asks for the path is not to see what one of them writes.
    const first = pipeline.durableEntries === 0 ? pipeline.commits.at(0) : undefined
    const founder = first && this.#judging.founderOf(first, pipeline.log)
    if (founder !== undefined && founder.owner !== certificate.owner) return refusal('NotFounder', pipeline.path)
    return this.#judging.read(pipeline.log, pipeline.durableEntries, certificate)
  }

  /** The entries after the `held` first ones that tell a former reader why they are none any more; none for everybody else. */
  farewell({ pipeline }: Repository, { certificate }: Peer, held: number): readonly Uint8Array[] {
    const { log, durableEntries } = pipeline
    if (!this.#isAuthority) return []
    const ended = certificate === undefined ? undefined : this.#judging.endedAt(log, durableEntries, certificate)
    if (ended === undefined) return []
    const entries: Uint8Array[] = []
    let room = farewellMost
    for (const { bytes } of log.entries.slice(held, ended + 1)) {
      room -= bytes.length + 8
      if (room < 0) break
      entries.push(bytes)
    }
    return entries
  }
}
