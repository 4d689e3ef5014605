/** Who did what, by the owners whom the certificates name. */
import { clockTicks } from '../../commit/commit.ts'
import type { Certificate } from '../../trust/certificate.ts'
import type { AuditedPerson } from './report.ts'
import type { Contents } from './repository.ts'

interface Person {
  name: string
  /** When the certificate that names it so was issued. */
  issued: number
  readonly sessions: Set<string>
  /** Numbers of certificates, and what bears each. */
  readonly numbers: Map<number, Certificate>
  readonly dead: Set<string>
  readonly repositories: Map<string, { commits: number; changes: number }>
  first: number
  last: number
}

export class People {
  readonly #people = new Map<string, Person>()
  /** Certificates of which another one of the account bears the number. */
  readonly twice = new Map<string, Certificate>()

  certified(certificate: Certificate): void {
    const { owner, name, issued, session, number, id } = certificate
    const person = this.#of(owner)
    const twin = person.numbers.get(number) ?? certificate
    person.numbers.set(number, twin)
    if (twin.id !== id) this.twice.set(id, certificate)
    person.sessions.add(session)
    if (issued >= person.issued) Object.assign(person, { name, issued })
  }

  wrote(path: string, { commits, certificates, dead }: Contents): void {
    for (const certificate of certificates.values()) this.certified(certificate)
    for (let index = 0; index < commits.size; index++) {
      const commit = commits.at(index)
      const certificate = commit && certificates.get(commit.session)
      if (commit === undefined || certificate === undefined) continue
      const person = this.#of(certificate.owner)
      const there = person.repositories.get(path) ?? { commits: 0, changes: 0 }
      person.repositories.set(path, {
        commits: there.commits + 1,
        changes: there.changes + commit.changes.length,
      })
      const time = Math.floor(commit.clock / clockTicks)
      person.first = Math.min(person.first, time)
      person.last = Math.max(person.last, time)
    }
    for (const { owner, commit } of dead) if (owner !== null) this.#of(owner).dead.add(commit)
  }

  #of(owner: string): Person {
    const known = this.#people.get(owner)
    if (known !== undefined) return known
    const person = {
      name: '',
      issued: Number.NEGATIVE_INFINITY,
      sessions: new Set<string>(),
      numbers: new Map<number, Certificate>(),
      dead: new Set<string>(),
      repositories: new Map(),
      first: Number.POSITIVE_INFINITY,
      last: 0,
    }
    this.#people.set(owner, person)
    return person
  }

  list(): AuditedPerson[] {
    return [...this.#people]
      .map(([owner, { name, sessions, dead, repositories, first, last }]) => {
        const places = [...repositories].map(([path, counts]) => ({ path, ...counts }))
        const commits = places.reduce((sum, place) => sum + place.commits, 0)
        const times = commits === 0 ? { first: 0, last: 0 } : { first, last }
        return { owner, name, sessions: sessions.size, commits, dead: dead.size, ...times, repositories: places }
      })
      .sort((a, b) => b.commits - a.commits || (a.owner < b.owner ? -1 : 1))
  }
}
