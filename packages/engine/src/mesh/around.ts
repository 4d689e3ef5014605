/** What the machines of the mesh may look at beside their own state and the event: time and chance, both given. */
export interface Surroundings {
  /** Monotonic, ms. */
  readonly now: number
  /** A whole number in [0, below), at random. */
  readonly random: (below: number) => number
}
