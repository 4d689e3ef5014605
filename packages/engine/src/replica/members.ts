/** Who is in a repository, and who changed an item last, with the names their certificates give them. */
import { clockTicks } from '../commit/commit.ts'
import type { AuthorityLog } from '../trust/authoritylog.ts'
import type { Identity } from './capture.ts'
import type { Certificates } from './certificates.ts'
import type { LastChange, LiveItem } from './live.ts'

/** Somebody with a role. */
export interface Member {
  readonly owner: string
  readonly role: string
  readonly name: string | undefined
}

/** Everybody who has a role at the newest position, by owner. The name is the one of their newest certificate that came here. */
export const membersOf = (log: AuthorityLog, certificates: Certificates): readonly Member[] =>
  [...log.roles()]
    .map(([owner, role]) => ({ owner, role, name: certificates.ofOwner(owner)?.name }))
    .sort((a, b) => (a.owner < b.owner ? -1 : 1))

/** The latest change that counts at the item: who made it and when. */
export const lastChangeOf = (
  { merged }: LiveItem,
  sessionOf: (commit: string) => string | undefined,
  certificates: Certificates,
  own: Identity | undefined,
): LastChange | undefined => {
  let last: { readonly id: string; readonly clock: number } | undefined
  for (const index of merged.liveHeads) {
    const { id, clock } = merged.nameOf(index)
    if (last === undefined || clock > last.clock || (clock === last.clock && id > last.id)) last = { id, clock }
  }
  const session = last === undefined ? undefined : sessionOf(last.id)
  if (last === undefined || session === undefined) return undefined
  const name = certificates.get(session)?.name ?? (own?.session === session ? own.name : session.slice(0, 8))
  return { session, name, time: Math.floor(last.clock / clockTicks) }
}
