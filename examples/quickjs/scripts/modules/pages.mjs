let asked = 0;
export const page = (number) => ((asked += 1), fetch(`/page/${number}`));
export const count = () => asked;
export default "the default";
