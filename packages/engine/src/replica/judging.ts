/**
 * Judges what somebody does by the rules that were in force where they stood: the rule version and the end of access that their root
 * position names, the role that their position in the repository's log gives. Pure functions of commits and logs: every replica that
 * has the same ones judges alike.
 */
import { type Refusal, refusal } from '../bytes/refusal.ts'
import type { Commit } from '../commit/commit.ts'
import type { ItemState } from '../merge/state.ts'
import { type Values, valuesOf } from '../merge/values.ts'
import type { Schema } from '../schema/schema.ts'
import type { AuthorityLog, Death } from '../trust/authoritylog.ts'
import {
  type Denial,
  foundersRole,
  judgeRules,
  matchPath,
  type Rule,
  type RuleFaults,
  type Who,
} from '../trust/rules.ts'
import type { Certificates } from './certificates.ts'
import type { RootLog } from './rootlog.ts'

/** Somebody with a certificate, by its session and owner. */
export interface Person {
  readonly session: string
  readonly owner: string
}

type Judged = Omit<Who, 'params'>

/** What a change does to an item, as its author saw it. */
export interface Edit {
  readonly key: string
  readonly schema: Schema
  readonly fields: readonly string[]
  readonly before: ItemState
  readonly after: ItemState
}

export const denied = ({ code, rule, reason }: Denial, about: string): Refusal => ({
  ...refusal(code, about),
  ...(rule !== undefined && { rule }),
  ...(reason !== undefined && { reason }),
})

/** An edit as rules see it. */
class Written {
  readonly session: string | undefined
  readonly owner: string | undefined
  readonly role: string | undefined
  readonly item: { readonly schema: string; readonly key: string }
  readonly fields: readonly string[]
  readonly #edit: Edit

  constructor({ session, owner, role }: Judged, edit: Edit) {
    this.session = session
    this.owner = owner
    this.role = role
    this.item = Object.freeze({ schema: edit.schema.name, key: edit.key })
    this.fields = edit.fields
    this.#edit = edit
  }

  get before(): Values | null {
    return valuesOf(this.#edit.before, this.#edit.schema)
  }

  get after(): Values | null {
    return valuesOf(this.#edit.after, this.#edit.schema)
  }
}

export class Judging {
  readonly #version: (version: number) => readonly Rule[] | undefined
  readonly #root: RootLog
  readonly #certificates: Certificates
  readonly #faults: RuleFaults

  constructor(
    version: (version: number) => readonly Rule[] | undefined,
    root: RootLog,
    certificates: Certificates,
    faults: RuleFaults,
  ) {
    this.#version = version
    this.#root = root
    this.#certificates = certificates
    this.#faults = faults
  }

  /** Whether this replica has the rules that are in force now: without them nobody here could say what will count. */
  get knowsRules(): boolean {
    return this.rulesAt(this.#root.size - 1) !== undefined
  }

  /** The rules in force at a root position; undefined when this replica does not have that version. */
  rulesAt(n: number): readonly Rule[] | undefined {
    return this.#version(this.#root.rulesAt(n))
  }

  /** The owner's role at a place in the repository's log; before the first entry, the one that founding gives. */
  roleOf(log: AuthorityLog, who: Omit<Judged, 'role'>, n: number, rules: readonly Rule[]): string | undefined {
    if (who.owner === undefined) return undefined
    return n < 0 ? foundersRole(rules, log.path, { ...who, role: undefined }, this.#faults) : log.roleAt(who.owner, n)
  }

  /** Who founds a repository by this commit, and with which role; undefined when its author may not by the newest rules, whatever it cites. */
  founderOf({ session }: Commit, log: AuthorityLog): { readonly owner: string; readonly role: string } | undefined {
    const owner = this.#certificates.get(session)?.owner
    const rules = this.rulesAt(this.#root.size - 1)
    if (owner === undefined || rules === undefined) return undefined
    const role = this.roleOf(log, { session, owner }, -1, rules)
    return role === undefined ? undefined : { owner, role }
  }

  /** Why its author may not bring the repository into being: some rule says who may, and it is not them. */
  founding(commit: Commit, log: AuthorityLog): Refusal | undefined {
    const rules = this.rulesAt(this.#root.size - 1) ?? []
    const isNamed = rules.some(({ kind, template }) => kind === 'create' && matchPath(template, log.path) !== undefined)
    return isNamed && this.founderOf(commit, log) === undefined
      ? refusal('NotAllowed', `create ${log.path}`)
      : undefined
  }

  /** Why a commit must wait before anybody can judge it. `reader`: whose replica this is, which has so many `entries` of the log. */
  waits(commit: Commit, log: AuthorityLog, entries: number, reader: Person | undefined): Refusal | undefined {
    const n = this.#root.cited(commit.policy.root)
    if (this.rulesAt(n) === undefined) return refusal('UnknownRules', String(this.#root.rulesAt(n)))
    const revokedAt = this.#revokedAt(commit)
    if (revokedAt === undefined || n >= revokedAt) return undefined
    const decided = log.firstKnowing(revokedAt) !== Number.POSITIVE_INFINITY
    const covered = log.coveredAt(commit.chain, commit.seq) !== Number.POSITIVE_INFINITY
    if (decided || covered) return undefined
    // To whoever was put out the log says no more. They are to know what becomes of their own work, whatever it is built on.
    if (reader !== undefined && this.endedAt(log, entries, reader) !== undefined) return undefined
    // What is dead by an older fence stays so, whatever the authority says of the revocation, and its author is to know.
    const owner = this.#certificates.get(commit.session)?.owner ?? ''
    return log.deathOf(commit, owner, undefined) === undefined ? refusal('Undecided', commit.id) : undefined
  }

  /** From where on a commit is dead by what the logs say of its author. */
  deathOf(commit: Commit, log: AuthorityLog): Death | undefined {
    const owner = this.#certificates.get(commit.session)?.owner
    return owner === undefined ? undefined : log.deathOf(commit, owner, this.#revokedAt(commit))
  }

  /** Whether somebody's access was ended. */
  hasEnded(person: Person): boolean {
    return this.#root.revokedAt(person) !== undefined
  }

  /** Whether the access of the session or its owner was ended. */
  isRevoked(session: string): boolean {
    const owner = this.#certificates.get(session)?.owner
    return owner !== undefined && this.#root.revokedAt({ session, owner }) !== undefined
  }

  #revokedAt({ session }: Commit): number | undefined {
    const owner = this.#certificates.get(session)?.owner
    return owner === undefined ? undefined : this.#root.revokedAt({ session, owner })
  }

  /** Why the rules refuse a change; undefined when they allow it. */
  write(commit: Commit, log: AuthorityLog, edit: Edit): Refusal | undefined {
    const owner = this.#certificates.get(commit.session)?.owner
    const about = `write ${log.path} ${edit.schema.name} ${edit.key}`
    if (owner === undefined) return refusal('UnknownSession', commit.session)
    return this.writing(
      { session: commit.session, owner },
      this.#root.cited(commit.policy.root),
      log.cited(commit.policy.authority),
      log,
      edit,
      about,
    )
  }

  /** Whether other rules were in force before those that are now. */
  get hasOlderRules(): boolean {
    return this.#root.rulesAt(0) !== this.#root.rulesAt(this.#root.size - 1)
  }

  /** Whether the rules that a commit is judged by are those in force now. */
  citesNewest({ policy: { root } }: Commit): boolean {
    return this.#root.rulesAt(this.#root.cited(root)) === this.#root.rulesAt(this.#root.size - 1)
  }

  /** Why the rules in force now refuse a change, whichever it cites. */
  writeByNewest({ session, policy }: Commit, log: AuthorityLog, edit: Edit): Refusal | undefined {
    const owner = this.#certificates.get(session)?.owner
    if (owner === undefined) return undefined
    const about = `write ${log.path} ${edit.schema.name} ${edit.key}`
    return this.#byRules(this.#root.size - 1, { session, owner }, log.cited(policy.authority), log, edit, about)
  }

  /** The same for a change that is not in a commit yet. */
  writing(
    { session, owner }: Person,
    rootN: number,
    n: number,
    log: AuthorityLog,
    edit: Edit,
    about: string,
  ): Refusal | undefined {
    const revokedAt = this.#root.revokedAt({ session, owner })
    if (revokedAt !== undefined && rootN >= revokedAt) return refusal('Revoked', about)
    return this.#byRules(rootN, { session, owner }, n, log, edit, about)
  }

  #byRules(
    rootN: number,
    { session, owner }: Person,
    n: number,
    log: AuthorityLog,
    edit: Edit,
    about: string,
  ): Refusal | undefined {
    const rules = this.rulesAt(rootN)
    if (rules === undefined) return refusal('UnknownRules', about)
    const role = this.roleOf(log, { session, owner }, n, rules)
    const written = new Written({ session, owner, role }, edit)
    const denial = judgeRules(rules, 'write', log.path, written, this.#faults)
    return denial === undefined ? undefined : denied(denial, about)
  }

  /** Who somebody is in a repository now: the newest rules, the newest role. */
  whoNow(log: AuthorityLog, entries: number, person: Person | undefined): { who: Judged; rules: readonly Rule[] } {
    const rules = this.rulesAt(this.#root.size - 1) ?? []
    if (person === undefined) return { who: { session: undefined, owner: undefined, role: undefined }, rules }
    const { session, owner } = person
    return { who: { session, owner, role: this.roleOf(log, { session, owner }, entries - 1, rules) }, rules }
  }

  /** Why somebody may not read the repository now. `entries`: how many of its log count. */
  read(log: AuthorityLog, entries: number, person: Person | undefined): Refusal | undefined {
    if (person !== undefined && this.#root.revokedAt(person) !== undefined) return refusal('Revoked', log.path)
    const { who, rules } = this.whoNow(log, entries, person)
    const denial = judgeRules(rules, 'read', log.path, who, this.#faults)
    return denial === undefined ? undefined : denied(denial, `read ${log.path}`)
  }

  /** The entry that made a former reader none; undefined for readers and for whoever never was one. */
  endedAt(log: AuthorityLog, entries: number, person: Person): number | undefined {
    const revokedAt = this.#root.revokedAt(person)
    const ended = revokedAt === undefined ? log.takenAt(person.owner) : log.firstKnowing(revokedAt)
    if (ended === undefined || ended >= entries) return undefined
    const { who, rules } = this.whoNow(log, ended, person)
    return judgeRules(rules, 'read', log.path, who, this.#faults) === undefined ? ended : undefined
  }

  /** Why somebody may not give that role to that owner now. */
  grant(
    log: AuthorityLog,
    entries: number,
    person: Person,
    subject: { readonly owner: string },
    give: string | null,
  ): Refusal | undefined {
    const { who, rules } = this.whoNow(log, entries, person)
    const role = log.roleAt(subject.owner, entries - 1)
    const denial = judgeRules(
      rules,
      'grant',
      log.path,
      { ...who, subject: { owner: subject.owner, role }, give },
      this.#faults,
    )
    return denial === undefined ? undefined : denied(denial, `grant ${log.path} ${subject.owner}`)
  }

  /** Why somebody may not erase in the repository now. */
  erase(log: AuthorityLog, entries: number, person: Person): Refusal | undefined {
    const { who, rules } = this.whoNow(log, entries, person)
    const denial = judgeRules(rules, 'erase', log.path, who, this.#faults)
    return denial === undefined ? undefined : denied(denial, `erase ${log.path}`)
  }
}
