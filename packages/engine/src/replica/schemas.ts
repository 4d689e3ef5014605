/** The schemas an app opened its replica with, by the hash of their definition. */
import { toHex } from '../bytes/bytes.ts'
import { WeftError } from '../bytes/refusal.ts'
import type { Hash } from '../commit/commit.ts'
import type { Schema } from '../schema/schema.ts'

export class Schemas {
  readonly #byHash = new Map<string, Schema>()
  readonly #hashes = new Map<Schema, string>()

  /** Throws `BadSchema` when two of them have one definition. */
  constructor(schemas: readonly Schema[], hash: Hash) {
    for (const schema of schemas) {
      const name = toHex(hash(schema.definition))
      const other = this.#byHash.get(name)
      if (other !== undefined && other !== schema)
        throw new WeftError('BadSchema', `${schema.name} ${schema.version} is given twice`)
      this.#byHash.set(name, schema)
      this.#hashes.set(schema, name)
    }
  }

  /** Throws `BadSchema` for a schema that was not given. */
  hashOf(schema: Schema): string {
    const hash = this.#hashes.get(schema)
    if (hash === undefined)
      throw new WeftError('BadSchema', `${schema.name} ${schema.version} is not among the schemas of open()`)
    return hash
  }

  hashes(): Iterable<string> {
    return this.#byHash.keys()
  }

  get(hash: string): Schema | undefined {
    return this.#byHash.get(hash)
  }
}
