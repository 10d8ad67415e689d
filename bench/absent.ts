/** Something the run can do without is not there; what depends on it is skipped, saying so. */
export class Absent extends Error {
  override readonly name = 'Absent';
}
