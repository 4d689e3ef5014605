/**
 * How the person at the keyboard stands to a board. A replica that never met a board cannot know whose it is: until the server says
 * otherwise, whoever comes may found it.
 */
import { type Board, db } from './database.ts'
import { isRole, type Role } from './shared.ts'

/** `removed`: could see it once. `stranger`: never could, or there is no such board. `unknown`: nobody is logged in. */
export type Standing = Role | 'removed' | 'stranger' | 'unknown'

export const standingOf = (board: Board): Standing => {
  // Who is logged in is told with the status, of which the session is a part.
  const isLoggedIn = db.session !== undefined && db.person !== undefined
  const { barred, role } = board
  const isKnown = board.members.length > 0
  if (barred) return isKnown ? 'removed' : 'stranger'
  if (!isLoggedIn) return 'unknown'
  if (isRole(role)) return role
  return isKnown ? 'removed' : 'unknown'
}

export const mayWrite = (standing: Standing): boolean => standing === 'owner' || standing === 'editor'

export interface Removal {
  /** Who did it; undefined for the server itself, and for somebody unknown here. */
  readonly by: string | undefined
  /** ms since 1970, by the server's clock */
  readonly time: number
}

/** The entry of the board's log that took this person's role. */
export const removalOf = (board: Board): Removal | undefined => {
  const { certificates } = board.witness
  const owner = db.person?.owner
  for (const { statement, time } of board.pipeline.log.entries.toReversed()) {
    if (statement.kind !== 'grant' || statement.owner !== owner) continue
    const by = statement.by === null ? undefined : certificates.ofOwner(statement.by)?.name
    return statement.role === null ? { by, time } : undefined
  }
  return undefined
}

/** A member's name; one who never wrote here and never came along has none yet. */
export const nameOfMember = ({ owner, name }: { readonly owner: string; readonly name: string | undefined }): string =>
  name ?? `Guest ${owner.slice(-6)}`
