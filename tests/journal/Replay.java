import org.apache.jena.rdfpatch.RDFPatchOps;
import org.apache.jena.riot.Lang;
import org.apache.jena.riot.RDFDataMgr;
import org.apache.jena.sparql.core.DatasetGraph;
import org.apache.jena.sparql.core.DatasetGraphFactory;

/** Read a dump, apply patches to it in their order, and write what comes of it as N-Quads: all of it by Apache Jena. */
public class Replay {
    public static void main(String[] files) throws Exception {
        DatasetGraph data = DatasetGraphFactory.createTxnMem();
        RDFDataMgr.read(data, files[0]);
        for (int number = 1; number < files.length; number++) {
            RDFPatchOps.applyChange(data, RDFPatchOps.fileToPatch(files[number]));
        }
        data.begin();
        RDFDataMgr.write(System.out, data, Lang.NQUADS);
        data.end();
    }
}
