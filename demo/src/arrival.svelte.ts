/** Coming to a board by an invitation: once somebody is logged in and the server is there, the code is changed for a role. */
import { WeftError } from '@weft-db/weft'
import { boards } from './boards.svelte.ts'
import { type Board, db } from './database.ts'
import { type Failure, failureOf } from './failure.ts'
import { route } from './route.svelte.ts'

export class Arrival {
  failure = $state<Failure>()
  #code: string | undefined

  /** Called when any of this may have changed; a code that was refused is not tried again by itself. */
  async come(board: Board, code: string): Promise<void> {
    if (this.#code === code) return
    this.#code = code
    this.failure = undefined
    try {
      await db.join(board.path, code)
      await isIn(board)
      if (route.invitation === code) {
        route.leaveInvitation()
        boards.visit(route.board)
      }
      this.#code = undefined
    } catch (problem) {
      this.failure = failureOf(problem)
      // Nobody heard the code: it is tried again when the server is back.
      if (problem instanceof WeftError && problem.code === 'Unreachable') {
        this.#code = undefined
        this.failure = undefined
      }
    }
  }
}

/** Resolves when this replica has what the server wrote about it. */
const isIn = (board: Board): Promise<void> =>
  new Promise((resolve) => {
    const look = (): void => {
      const isMember = board.members.some(({ owner }) => owner === db.person?.owner)
      if (!isMember || board.barred) return
      stop()
      resolve()
    }
    const stop = board.onChange(look)
    look()
  })
