/** The boards that were opened in this browser, the latest first. The first of them is home; before there is one, a new board is. */
import { boardOf, newBoard } from './address.ts'
import { recall, remember } from './preference.ts'

const most = 8

const recalled = (): string[] =>
  (recall('boards') ?? '').split(' ').filter((board) => board && board === boardOf(board))

class Boards {
  list = $state.raw<readonly string[]>(recalled())

  home(): string {
    return this.list[0] ?? this.make('Roadmap')
  }

  /** A name that nobody can guess. The board is founded by whoever writes on it first. */
  make(title: string): string {
    return newBoard(title, (length) => crypto.getRandomValues(new Uint8Array(length)))
  }

  visit(board: string): void {
    if (this.list[0] === board) return
    this.#set([board, ...this.list.filter((other) => other !== board)])
  }

  forget(board: string): void {
    if (this.list.includes(board)) this.#set(this.list.filter((other) => other !== board))
  }

  /** Whoever comes next does not see where the last one was. */
  clear(): void {
    this.#set([])
  }

  #set(list: readonly string[]): void {
    this.list = list.slice(0, most)
    remember('boards', this.list.join(' '))
  }
}

export const boards = new Boards()
