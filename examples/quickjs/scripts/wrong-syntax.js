print("never seen");
let 1 = 2;
