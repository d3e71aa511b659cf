INSERT INTO sorted.quads FROM quads ORDER BY g, s, p, o;
INSERT INTO sorted.triples FROM triples ORDER BY p, o, s;
INSERT INTO sorted.layout SELECT count(*) FROM quads;
