/** Who may do what in a repository, and what is asked of the server: roles, invitations, erasures. */
import type { Invitation } from '../trust/authoritylog.ts'
import type { NamedChange } from '../trust/entry.ts'
import type { Changes } from './changes.ts'
import { erasable, inRuns } from './erasing.ts'
import type { Host } from './host.ts'
import { inviteRequest, withdrawRequest } from './inviting.ts'
import { type Member, membersOf } from './members.ts'
import type { Pipeline } from './pipeline.ts'
import { reportRead } from './reads.ts'
import type { Request } from './requests.ts'

export interface RightsParts {
  readonly host: Host
  readonly changes: Changes
  keyOf(item: object): string
  /** Throws `Closed` where nothing can be done here any more. */
  mustBeUsable(): void
  /** Whoever had it has logged out. */
  isForgotten(): boolean
}

export abstract class Rights {
  abstract readonly path: string
  abstract readonly pipeline: Pipeline
  protected abstract readonly rights: RightsParts

  abstract recall(item: object): Promise<void>

  /** This person's role, as far as this replica knows the authority's log. */
  get role(): string | undefined {
    reportRead(this.rights.changes)
    const { judging, person } = this.rights.host
    return judging.whoNow(this.pipeline.log, this.pipeline.durableEntries, person).who.role
  }

  /** Everybody who has a role, by owner. The name is the one of their newest certificate that came here. */
  get members(): readonly Member[] {
    reportRead(this.rights.changes)
    if (this.rights.isForgotten()) return []
    return membersOf(this.pipeline.log, this.rights.host.certificates)
  }

  /**
   * Gives an owner a role, or takes it away (null). Resolves when the server wrote that down; rejects with the reason, with `Unreachable`
   * while the server is. `fences`, true unless told, makes it hold for what they wrote before and did not send yet: use false to promote.
   */
  grant(owner: string, role: string | null, { fences = true }: { fences?: boolean } = {}): Promise<void> {
    return this.#ask({ method: 'grant', path: this.path, owner, role, fences })
  }

  /**
   * Makes an invitation: whoever comes with the code (`db.join(path, code)`) gets the role. `uses`: how many may, 1 unless told. `expires`:
   * ms since 1970, in a week unless told. The server keeps the code's hash alone.
   */
  async invite(role: string, options: { uses?: number; expires?: number } = {}): Promise<string> {
    const { request, code } = inviteRequest(this.path, role, options, this.rights.host)
    await this.#ask(request)
    return code
  }

  /** Takes back what can still be used of an invitation, by its code or by the `secret` that `invitations` names. */
  withdraw(invitation: { readonly code: string } | { readonly secret: string }): Promise<void> {
    return this.#ask(withdrawRequest(this.pipeline.log, invitation, this.rights.host))
  }

  /**
   * Erases what was written in an item so far, as far as the server covers it: its content goes from every replica that keeps the rules,
   * and what was edited concurrently is applied to what is left. Ids, times and authors stay, and so does the item's key. Resolves when the
   * server has it in no log any more; rejects with the reason, with `Unreachable` while the server is.
   */
  async erase(item: object, reason: string): Promise<void> {
    await this.recall(item)
    await this.eraseChanges(erasable(this.pipeline, this.rights.keyOf(item)).flat(), reason)
  }

  /** Erases what these commits wrote in these items. See `erase`. */
  async eraseChanges(changes: readonly NamedChange[], reason: string): Promise<void> {
    for (const run of inRuns(changes)) await this.#ask({ method: 'erase', path: this.path, changes: run, reason })
  }

  /** Another person may be logged in by now. */
  async #ask(request: Request): Promise<void> {
    this.rights.mustBeUsable()
    return this.rights.host.ask(request)
  }

  /** Invitations that somebody may still use. `secret` is the hash of the code, which nobody but whoever made it knows. */
  get invitations(): readonly Invitation[] {
    reportRead(this.rights.changes)
    return this.pipeline.log.invitations
  }
}
